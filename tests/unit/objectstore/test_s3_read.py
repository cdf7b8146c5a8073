"""The hot read: what is asked for, the signature, and what is made of the answers of a server that misbehaves."""

from contextlib import aclosing
from datetime import UTC, datetime

import pytest
from aiohttp import web
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from app.domain.errors import Unavailable
from app.objectstore.s3 import S3ObjectStore, open_s3
from app.objectstore.s3_read import CHUNK, EMPTY
from app.objectstore.s3_sign import RequestSigner
from tests.unit.objectstore.fake_s3 import FakeS3, options_of

KEY = "a b/ü//v1"


async def content(store: S3ObjectStore, version_id: str | None = "v+1/=") -> bytes:
    return b"".join([piece async for piece in store.read("bucket", KEY, version_id)])


def gives(fake: FakeS3, body: bytes) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body)

    fake.answer = answer


@pytest.mark.parametrize("query", ["", "?versionId=v%2B1%2F%3D"])
def test_the_signature_of_a_get_is_the_one_of_botocore(query: str) -> None:
    credentials = ReadOnlyCredentials("AK", "SK", "session/token==")
    url = f"https://bucket.s3.eu-central-1.amazonaws.com/a%20b/%C3%BC//v1{query}"
    headers: dict[str, str] = {}
    RequestSigner(credentials, "eu-central-1").sign("GET", url, url.split("/")[2], headers, EMPTY)

    original = AWSRequest("GET", url)
    same_moment = datetime.strptime(headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.auth.get_current_datetime", lambda: same_moment)
        S3SigV4Auth(credentials, "s3", "eu-central-1").add_auth(original)
    assert headers["Authorization"] == original.headers["Authorization"]


async def test_a_version_is_read_with_one_request(fake: FakeS3, store: S3ObjectStore) -> None:
    gives(fake, body := bytes(range(256)) * 10_000)
    pieces = [piece async for piece in store.read("bucket", KEY, "v+1/=")]
    assert b"".join(pieces) == body
    assert max(map(len, pieces)) <= CHUNK
    (request,) = fake.requests
    assert request.method == "GET"
    assert request.raw_path == "/bucket/a%20b/%C3%BC//v1?versionId=v%2B1%2F%3D"
    assert "/us-east-1/s3/aws4_request" in request.headers["Authorization"]
    assert "Accept-Encoding" not in request.headers


async def test_without_a_version_the_current_one_is_read(fake: FakeS3, store: S3ObjectStore) -> None:
    gives(fake, b"")
    assert await content(store, None) == b""
    assert fake.requests[0].raw_path == "/bucket/a%20b/%C3%BC//v1"


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (404, "NoSuchKey", FileNotFoundError),
        (404, "NoSuchVersion", FileNotFoundError),
        (405, "MethodNotAllowed", FileNotFoundError),
        (404, "NoSuchBucket", Unavailable),
        (404, "", Unavailable),
        (403, "AccessDenied", Unavailable),
        (503, "SlowDown", Unavailable),
        (307, "", Unavailable),
        (206, "", Unavailable),
    ],
)
async def test_an_object_that_is_gone_is_told_from_a_store_that_is_away(
    fake: FakeS3, store: S3ObjectStore, status: int, code: str, expected: type[Exception]
) -> None:
    fake.says(status, code, headers={"Location": f"{fake.url}/elsewhere"})
    with pytest.raises(expected):
        await content(store)
    assert len(fake.requests) == 1


async def test_content_that_breaks_off_is_not_taken_for_complete(fake: FakeS3, store: S3ObjectStore) -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "1000"})
        await answer.prepare(request)
        await answer.write(b"x" * 500)
        assert request.transport is not None
        request.transport.close()
        return answer

    fake.answer = half
    with pytest.raises(Unavailable, match="bucket bucket: "):
        await content(store)


async def test_a_reader_who_goes_away_leaves_nothing_open(fake: FakeS3, store: S3ObjectStore) -> None:
    gives(fake, b"x" * 5_000_000)
    async with aclosing(store.read("bucket", KEY, None)) as pieces:  # type: ignore[type-var]
        assert await anext(pieces)
    gives(fake, b"again")
    assert await content(store) == b"again"


async def test_a_server_that_is_not_there_is_unavailable(fake: FakeS3) -> None:
    async with open_s3(options_of(fake, access_url="http://127.0.0.1:1")) as nowhere:
        with pytest.raises(Unavailable):
            await content(nowhere)
