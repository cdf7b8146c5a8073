"""`GET /api/artifacts/{id}/content` over a real connection: exact bytes, safe headers, and no end without the hash."""

import asyncio
import contextlib
import hashlib
import logging
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import uvicorn

from app.domain.errors import Unavailable
from app.domain.jobs import Reference
from tests.unit.api.artifact_app import BEARER, ArtifactApp, artifact_app

LARGE = bytes(range(256)) * 4096 + b"end"


@pytest.fixture
async def api(url: str, tmp_path: Path) -> AsyncIterator[ArtifactApp]:
    async with artifact_app(tmp_path, url) as opened:
        server = uvicorn.Server(uvicorn.Config(opened.app, port=0, log_config=None, lifespan="off"))
        server.capture_signals = contextlib.nullcontext  # type: ignore[assignment,method-assign]
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 # uvicorn has no event for it
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=BEARER) as client:
            opened.client = client
            yield opened
        serving.cancel()  # it looks for `should_exit` ten times a second only
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        await server.shutdown()


@pytest.mark.parametrize("content", [b'{"id": 1}', LARGE], ids=["small", "large"])
async def test_content_is_exactly_what_was_archived(api: ArtifactApp, content: bytes) -> None:
    await api.store(content, reference=Reference("DOC-1", 2))
    answer = await api.get("/1/content")
    assert (answer.status_code, answer.content) == (200, content)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(content))
    assert answer.headers["x-content-type-options"] == "nosniff"
    digest = b64encode(hashlib.sha256(content).digest()).decode()
    assert answer.headers["repr-digest"] == f"sha-256=:{digest}:"
    assert answer.headers["content-disposition"] == (
        "attachment; filename=\"artifact-1.json\"; filename*=UTF-8''DOC-1_v2.json"
    )


async def receive(answer: httpx.Response, into: bytearray) -> None:
    async for chunk in answer.aiter_raw():
        into += chunk


@pytest.mark.parametrize("content", [b'{"id": 1}', LARGE], ids=["small", "large"])
@pytest.mark.parametrize("change", ["flipped", "shorter", "longer", "empty"])
async def test_content_that_was_changed_breaks_off(
    api: ArtifactApp, content: bytes, change: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.store(content)
    changed = {"flipped": b"!" + content[1:], "shorter": content[:-1], "longer": content + b"!", "empty": b""}

    async def read(*_: object) -> AsyncIterator[bytes]:
        for place in range(0, len(changed[change]), 100_000):
            yield changed[change][place : place + 100_000]

    monkeypatch.setattr(api.objects, "read", read)
    received = bytearray()
    with caplog.at_level(logging.ERROR, "app.metadata.content"):
        async with api.client.stream("GET", "/api/artifacts/1/content") as answer:
            assert answer.headers["content-length"] == str(len(content))
            with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
                await receive(answer, received)
    assert len(received) < len(content)
    [said] = [record for record in caplog.records if record.name == "app.metadata.content"]
    assert said.message.startswith("artifact 1: the stored object is not what was archived")


async def test_an_object_that_is_gone_is_410(api: ArtifactApp) -> None:
    await api.archived.add()
    answer = await api.get("/1/content")
    assert answer.status_code == 410
    assert answer.json()["detail"] == (
        "The object of artifact 1 is no longer in the store; it was retained until 2026-06-07."
    )


async def test_a_store_that_is_away_is_503(api: ArtifactApp, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object) -> AsyncIterator[bytes]:
        raise Unavailable("objectstore", "refused")
        yield b""

    await api.store(b"{}")
    monkeypatch.setattr(api.objects, "read", away)
    answer = await api.get("/1/content")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


@pytest.mark.parametrize(
    ("content_type", "shown"),
    [
        ("application/vnd.x+json; charset=utf-8", "application/vnd.x+json; charset=utf-8"),
        ("avro/binary", "avro/binary"),
        ("text/html\r\nX: y", "application/octet-stream"),
        ("nonsense", "application/octet-stream"),
        ("text/ä", "application/octet-stream"),
    ],
)
async def test_the_content_type_is_passed_on_where_it_is_one(api: ArtifactApp, content_type: str, shown: str) -> None:
    await api.store(b"{}", content_type=content_type)
    answer = await api.get("/1/content")
    assert answer.headers["content-type"] == shown
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ('../../etc/"x"\\', "_.._etc__x__"),
        ("a\u202egpj.exe", "a_gpj.exe"),
        ("Grüße ☃", "Gr%C3%BC%C3%9Fe_%E2%98%83"),
        ("%0d%0aX: y", "%250d%250aX__y"),
        ("..", "_"),
    ],
)
async def test_the_file_name_holds_nothing_dangerous(api: ArtifactApp, reference: str, name: str) -> None:
    await api.store(b"{}", reference=Reference(reference))
    answer = await api.get("/1/content")
    assert answer.headers["content-disposition"] == (
        f"attachment; filename=\"artifact-1.json\"; filename*=UTF-8''{name}.json"
    )


async def test_a_file_that_was_changed_breaks_off(api: ArtifactApp) -> None:
    await api.store(b'{"id": 1}')
    file = api.file_of(0)
    file.chmod(0o600)
    file.write_bytes(b'{"id": 2}')
    with pytest.raises(httpx.RemoteProtocolError):
        await api.get("/1/content")
