"""Rare requests go over guarded connections too, and nobody goes over a proxy of the environment."""

import pytest

from app.objectstore.s3 import open_s3
from app.objectstore.s3_session import _GuardedSession
from app.outgoing.connections import GuardedConnector
from app.outgoing.guard import GuardedHandler
from tests.unit.objectstore.fake_s3 import FakeS3, options_of
from tests.unit.objectstore.uploads import upload_to


async def test_all_sessions_of_a_store_have_guarded_connections(fake: FakeS3) -> None:
    async with open_s3(options_of(fake)) as store:
        client = await store._connection.client()
        session = client._endpoint.http_session
        assert isinstance(session, _GuardedSession)
        for connector in (
            session._create_connector(None),
            (await store._connection.http()).connector,
            (await store._connection.http_for_reads()).connector,
        ):
            assert isinstance(connector, GuardedConnector)
            assert isinstance(connector._factory(), GuardedHandler)
            await connector.close()


async def test_no_request_goes_to_a_proxy_of_the_environment(fake: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with open_s3(options_of(fake)) as store:
        assert (await store.put(upload_to("b"))).version_id == "v-1"
        fake.says(404)
        assert await store.head("b", "key") is None
        fake.says(404, "NoSuchKey")
        with pytest.raises(FileNotFoundError):
            await anext(store.read("b", "key", None))


async def test_an_object_with_as_many_headers_as_were_stored_with_it_is_read(fake: FakeS3) -> None:
    """2 KB of metadata are some 400 short names; aiohttp by itself reads 128 headers."""
    many = {f"x-amz-meta-k{number}": "x" for number in range(400)}
    described = {"x-amz-version-id": "v-1", "ETag": '"e-1"', "Last-Modified": "Mon, 30 Nov 2026 08:00:00 GMT"}
    fake.says(200, headers={**many, **described, "Content-Length": "0"})
    async with open_s3(options_of(fake)) as store:
        found = await store.head("b", "key")
        assert found is not None
        assert len(found.user_metadata) == 400
        assert [piece async for piece in store.read("b", "key", None)] == []
