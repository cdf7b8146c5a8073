"""The hot put: headers, signature, and what is made of the answers of a server that misbehaves."""

import asyncio
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from app.domain.errors import Unavailable
from app.objectstore import ObjectRejected, PreconditionFailed
from app.objectstore.s3 import S3ObjectStore, S3Options, open_s3
from app.objectstore.s3_put import put_headers, whole_second
from app.objectstore.s3_sign import RequestSigner
from tests.unit.objectstore.fake_s3 import FakeS3, options_of
from tests.unit.objectstore.uploads import upload_to

UNTIL = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("token", [None, "session/token=="])
@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8333/bucket/PSF/OsvRecord/ab/abcdef/v1",
        "https://bucket.s3.eu-central-1.amazonaws.com/a%20b/%C3%BC%2B%26~%3F//x",
    ],
)
def test_the_signature_is_the_one_of_botocore(url: str, token: str | None) -> None:
    credentials = ReadOnlyCredentials("AK", "SK", token)
    upload = upload_to("bucket", user_metadata={"System": "PSF", "spaces": "a   b"}, content_type="a/b;  c=d")
    signer = RequestSigner(credentials, "eu-central-1")
    for _ in range(2):  # the second time with the cached key
        headers = put_headers(upload, "COMPLIANCE", UNTIL)
        signer.sign("PUT", url, url.split("/")[2], headers, upload.sha256)

        original = AWSRequest("PUT", url, headers=put_headers(upload, "COMPLIANCE", UNTIL), data=upload.content)
        same_moment = datetime.strptime(headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("botocore.auth.get_current_datetime", lambda moment=same_moment: moment)
            S3SigV4Auth(credentials, "s3", "eu-central-1").add_auth(original)
        assert headers["Authorization"] == original.headers["Authorization"]
        assert headers.get("X-Amz-Security-Token") == token


def test_a_new_day_has_a_new_signing_key(monkeypatch: pytest.MonkeyPatch) -> None:
    signer = RequestSigner(ReadOnlyCredentials("AK", "SK", None), "us-east-1")
    signed = []
    for day in (1, 2, 1):
        moment = datetime(2030, 1, day, tzinfo=UTC)
        monkeypatch.setattr("botocore.auth.get_current_datetime", lambda moment=moment: moment)
        headers: dict[str, str] = {}
        signer.sign("PUT", "http://h/b/k", "h", headers, "0" * 64)
        signed.append(headers["Authorization"])
    assert signed[0] != signed[1]
    assert signed[0] == signed[2]


def test_headers_say_everything_of_the_object() -> None:
    upload = upload_to("b", content=b"", tag=("Key of", "a+b/c="))
    assert put_headers(upload, "GOVERNANCE", UNTIL) == {
        "content-type": "application/json",
        "x-amz-checksum-sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        "if-none-match": "*",
        "x-amz-tagging": "Key%20of=a%2Bb%2Fc%3D",
        "x-amz-object-lock-mode": "GOVERNANCE",
        "x-amz-object-lock-retain-until-date": "2030-01-02T03:04:05Z",
        "x-amz-meta-system": "PSF",
        "x-amz-meta-reference-id": "DOC%2F1",
        "x-amz-meta-job-id": "j-1",
    }
    plain = put_headers(replace(upload, tag=None, if_match='"e"', user_metadata={}), "GOVERNANCE", None)
    assert plain.keys() == {"content-type", "x-amz-checksum-sha256", "if-match"}
    assert plain["if-match"] == '"e"'


def test_a_lock_never_ends_early_for_want_of_fractions() -> None:
    assert whole_second(UNTIL) == UNTIL
    assert whole_second(UNTIL + timedelta(microseconds=1)) == UNTIL + timedelta(seconds=1)


async def test_one_request_carries_it_all(fake: FakeS3, store: S3ObjectStore) -> None:
    upload = upload_to("bucket", "a b/ü//v1", content=b"x" * 3_000_000)
    stored = await store.put(upload)
    assert (stored.version_id, stored.etag, stored.size) == ("v-1", '"e-1"', 3_000_000)
    assert stored.retain_until is not None
    assert timedelta(days=30) <= stored.retain_until - stored.last_modified < timedelta(days=30, seconds=1)
    (request,) = fake.requests
    assert fake.bodies == [upload.content]
    assert request.method == "PUT"
    assert request.raw_path == "/bucket/a%20b/%C3%BC//v1"
    assert request.headers["Host"] == fake.url.removeprefix("http://")
    assert request.headers["x-amz-content-sha256"] == upload.sha256
    assert request.headers["Content-Length"] == "3000000"
    assert "/us-east-1/s3/aws4_request" in request.headers["Authorization"]
    assert request.headers["x-amz-object-lock-mode"] == "COMPLIANCE"


async def test_no_lock_is_asked_for_where_locking_is_off(fake: FakeS3) -> None:
    async with open_s3(options_of(fake, object_lock_enabled=False)) as store:
        assert (await store.put(upload_to("bucket"))).retain_until is None
    assert "x-amz-object-lock-mode" not in fake.requests[0].headers


async def test_a_redirect_is_not_followed(fake: FakeS3, store: S3ObjectStore) -> None:
    fake.says(307, headers={"Location": f"{fake.url}/elsewhere"})
    with pytest.raises(Unavailable, match=r"HTTP 307; check objectstorage.connection.region"):
        await store.put(upload_to("bucket"))
    assert len(fake.requests) == 1


@pytest.mark.parametrize(
    ("status", "code", "if_match", "expected"),
    [
        (412, "PreconditionFailed", None, PreconditionFailed),
        (409, "ConditionalRequestConflict", None, PreconditionFailed),
        (404, "NoSuchKey", '"e"', PreconditionFailed),
        (404, "NoSuchKey", None, Unavailable),
        (404, "NoSuchBucket", '"e"', Unavailable),
        (400, "MetadataTooLarge", None, ObjectRejected),
        (503, "SlowDown", None, Unavailable),
        (204, "", None, Unavailable),
    ],
)
async def test_answers_are_told_apart(
    fake: FakeS3, store: S3ObjectStore, status: int, code: str, if_match: str | None, expected: type[Exception]
) -> None:
    fake.says(status, code)
    with pytest.raises(expected):
        await store.put(upload_to("bucket", if_match=if_match))
    assert len(fake.requests) == 1


@pytest.mark.parametrize("headers", [{}, {"x-amz-version-id": "null"}])
async def test_an_answer_without_a_version_names_versioning(
    fake: FakeS3, store: S3ObjectStore, headers: dict[str, str]
) -> None:
    content = b'{"id": 1}'
    etag = hashlib.md5(content, usedforsecurity=False).hexdigest()
    fake.says(200, headers={"ETag": f'"{etag}"', **headers})
    with pytest.raises(Unavailable, match="bucket b-1 keeps no versions: enable versioning"):
        await store.put(upload_to("b-1", content=content))


async def test_an_endless_error_body_is_cut(fake: FakeS3, store: S3ObjectStore) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(status=500)
        await answer.prepare(request)
        while True:
            await answer.write(b"<Code>x" * 10_000)

    fake.answer = endless
    with pytest.raises(Unavailable, match="HTTP 500"):
        await asyncio.wait_for(store.put(upload_to("bucket")), 5)


async def test_an_answer_in_pieces_is_read_to_its_code(fake: FakeS3, store: S3ObjectStore) -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(status=400)
        await answer.prepare(request)
        for piece in (b"<Error><Co", b"de>InvalidT", b"ag</Code></Error>"):
            await answer.write(piece)
            await asyncio.sleep(0.05)
        return answer

    fake.answer = slow
    with pytest.raises(ObjectRejected, match="does not take the tag"):
        await store.put(upload_to("bucket"))


async def test_no_answer_in_time_is_unavailable(fake: FakeS3) -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.sleep(0.4)
        return web.Response()

    fake.answer = never
    async with open_s3(options_of(fake, read_timeout=0.1)) as store:
        with pytest.raises(Unavailable, match=r"no answer in time|[Tt]imeout"):
            await store.put(upload_to("bucket"))


async def test_a_connection_that_breaks_is_unavailable(fake: FakeS3, store: S3ObjectStore) -> None:
    async def breaks(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    fake.answer = breaks
    with pytest.raises(Unavailable):
        await store.put(upload_to("bucket"))


async def test_refreshed_credentials_are_used_at_once(fake: FakeS3, store: S3ObjectStore) -> None:
    class Ambient:
        def __init__(self) -> None:
            self.number = 0

        async def get_frozen_credentials(self) -> ReadOnlyCredentials:
            self.number += 1
            return ReadOnlyCredentials(f"AK{self.number}", "SK", f"token-{self.number}")

    await store.put(upload_to("bucket"))
    store._connection._credentials = Ambient()
    for number in (1, 2):
        await store.put(upload_to("bucket"))
        assert f"Credential=AK{number}/" in fake.requests[-1].headers["Authorization"]
        assert fake.requests[-1].headers["X-Amz-Security-Token"] == f"token-{number}"


async def test_missing_credentials_are_named_and_found_later(fake: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    async with open_s3(S3Options(access_url=fake.url)) as store:
        with pytest.raises(Unavailable, match=r"no credentials: set objectstorage.connection.access-key"):
            await store.put(upload_to("bucket"))
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "later")
        await store.put(upload_to("bucket"))
    assert "Credential=AKIA/" in fake.requests[0].headers["Authorization"]


@pytest.mark.parametrize(
    ("region", "bucket", "base"),
    [
        ("eu-central-1", "bucket-one", "https://bucket-one.s3.eu-central-1.amazonaws.com"),
        ("eu-central-1", "bucket.dots", "https://s3.eu-central-1.amazonaws.com/bucket.dots"),
        ("us-east-1", "bucket-one", "https://bucket-one.s3.amazonaws.com"),
        ("cn-north-1", "bucket-one", "https://bucket-one.s3.cn-north-1.amazonaws.com.cn"),
    ],
)
async def test_on_aws_the_bucket_is_in_the_host_of_its_region(region: str, bucket: str, base: str) -> None:
    async with open_s3(S3Options(region=region, access_key="AK", secret_key="SK")) as store:
        address = await store._connection.address(bucket)
    assert (address.base, address.region) == (base, region)
    assert address.host == base.split("/")[2]


def test_options_do_not_print_secrets() -> None:
    assert "SECRET" not in repr(S3Options(access_key="ACCESS-SECRET", secret_key="SECRET-KEY"))
