"""The object store in a real S3 (SeaweedFS): every property is read back with another client."""

import asyncio
import hashlib
import uuid
from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from app.domain.errors import Unavailable
from app.objectstore import FileContent, ObjectStore, ObjectVersion, PreconditionFailed
from app.objectstore.s3 import S3ObjectStore, S3Options, open_s3
from tests.servers import SeaweedFS
from tests.unit.objectstore.uploads import KEY, upload_to


@pytest.fixture
async def store(s3: SeaweedFS) -> AsyncIterator[S3ObjectStore]:
    async with open_s3(options_of(s3)) as opened:
        yield opened


@pytest.fixture
def bucket(s3: SeaweedFS) -> str:
    return s3.create_bucket(f"b-{uuid.uuid4().hex[:12]}")


def options_of(s3: SeaweedFS, **changes: Any) -> S3Options:
    plain = S3Options(access_url=s3.url, region=s3.region, access_key=s3.access_key, secret_key=s3.secret_key)
    return replace(plain, **changes)


async def content_of(store: ObjectStore, bucket: str, key: str, version_id: str | None) -> bytes:
    return b"".join([chunk async for chunk in store.read(bucket, key, version_id)])


async def test_everything_put_can_be_read_back(s3: SeaweedFS, store: S3ObjectStore, bucket: str) -> None:
    upload = upload_to(bucket)
    before = datetime.now(UTC)
    stored = await store.put(upload)

    client = s3.client()
    where = {"Bucket": bucket, "Key": KEY, "VersionId": stored.version_id}
    head = client.head_object(**where, ChecksumMode="ENABLED")
    assert head["VersionId"] == stored.version_id
    assert head["ETag"] == stored.etag
    assert head["ContentType"] == "application/json"
    assert head["ContentLength"] == stored.size == len(upload.content)
    assert head["Metadata"] == dict(upload.user_metadata)
    assert bytes.fromhex(upload.sha256) == b64decode(head["ChecksumSHA256"])
    assert client.get_object_tagging(**where)["TagSet"] == [
        {"Key": "ArchiveTypeLifecyclePolicy", "Value": "PSF_OsvRecord_30_30"}
    ]
    retention = client.get_object_retention(**where)["Retention"]
    assert retention["Mode"] == "COMPLIANCE"
    assert retention["RetainUntilDate"] == stored.retain_until
    assert before + timedelta(days=30) <= retention["RetainUntilDate"] < before + timedelta(days=30, seconds=10)
    assert client.get_object(**where)["Body"].read() == upload.content

    seen = await store.head(bucket, KEY)
    assert seen is not None
    assert replace(seen, last_modified=stored.last_modified) == stored
    assert abs(seen.last_modified - stored.last_modified) < timedelta(seconds=5)
    assert await store.head(bucket, KEY, stored.version_id) == seen
    assert await store.versions(bucket, KEY) == [seen]
    assert await content_of(store, bucket, KEY, stored.version_id) == upload.content


async def test_an_object_with_more_headers_than_clients_usually_read_can_be_read_back(
    store: S3ObjectStore, bucket: str
) -> None:
    """As many as a source may send, in the 2 KB that an object takes."""
    many = {f"k{number}": "x" for number in range(200)}
    upload = replace(upload_to(bucket), user_metadata={**upload_to(bucket).user_metadata, **many})
    stored = await store.put(upload)
    seen = await store.head(bucket, KEY)
    assert seen is not None
    assert seen.user_metadata == upload.user_metadata
    assert await content_of(store, bucket, KEY, stored.version_id) == upload.content


@pytest.mark.parametrize(
    "key",
    [
        "a b/ü+&?#%/v1",
        "dots/.x/..y/...",
        "$@=:;,!*'()~_-./v1",
        'quote"<>|{}^`[]/v1',
    ],
)
async def test_any_characters_may_stand_in_a_key(s3: SeaweedFS, store: S3ObjectStore, bucket: str, key: str) -> None:
    stored = await store.put(upload_to(bucket, key))
    assert [version.version_id for version in await store.versions(bucket, key)] == [stored.version_id]
    assert await content_of(store, bucket, key, None) == upload_to(bucket).content
    assert s3.client().head_object(Bucket=bucket, Key=key)["VersionId"] == stored.version_id


async def test_several_blanks_in_a_content_type_survive(s3: SeaweedFS, store: S3ObjectStore, bucket: str) -> None:
    content_type = 'application/json; x="a  b   c"'
    upload = upload_to(bucket, content_type=content_type, user_metadata={"content-type": content_type})
    await store.put(upload)
    head = s3.client().head_object(Bucket=bucket, Key=KEY)
    assert (head["ContentType"], head["Metadata"]) == (content_type, {"content-type": content_type})


async def test_a_large_document_is_stored_whole(store: S3ObjectStore, bucket: str) -> None:
    content = bytes(range(256)) * 4096 * 12
    stored = await store.put(upload_to(bucket, content=content))
    assert stored.size == len(content)
    assert await content_of(store, bucket, KEY, stored.version_id) == content


async def test_a_schema_file_is_stored_without_lock_and_tag(s3: SeaweedFS, store: S3ObjectStore, bucket: str) -> None:
    stored = await store.put(upload_to(bucket, retain_days=None, tag=None))
    assert stored.retain_until is None
    seen = await store.head(bucket, KEY)
    assert seen is not None
    assert seen.retain_until is None
    assert s3.client().get_object_tagging(Bucket=bucket, Key=KEY)["TagSet"] == []


async def test_racing_puts_leave_one_version(store: S3ObjectStore, bucket: str) -> None:
    uploads = [upload_to(bucket, content=f"document {number}".encode()) for number in range(16)]
    results = await asyncio.gather(*map(store.put, uploads), return_exceptions=True)
    won = [result for result in results if isinstance(result, ObjectVersion)]
    assert len(won) == 1
    assert all(isinstance(result, PreconditionFailed) for result in results if result not in won)
    assert [version.version_id for version in await store.versions(bucket, KEY)] == [won[0].version_id]


async def test_racing_replacements_leave_one_more_version(store: S3ObjectStore, bucket: str) -> None:
    first = await store.put(upload_to(bucket))
    uploads = [upload_to(bucket, content=f"new {number}".encode(), if_match=first.etag) for number in range(16)]
    results = await asyncio.gather(*map(store.put, uploads), return_exceptions=True)
    won = [result for result in results if isinstance(result, ObjectVersion)]
    assert len(won) == 1
    assert all(isinstance(result, PreconditionFailed) for result in results if result not in won)
    versions = await store.versions(bucket, KEY)
    assert [version.version_id for version in versions] == [won[0].version_id, first.version_id]


async def test_each_version_follows_the_etag_of_the_one_before(store: S3ObjectStore, bucket: str) -> None:
    chain = [await store.put(upload_to(bucket, content=b"0", user_metadata={"job-id": "0"}))]
    for number in range(1, 4):
        upload = upload_to(bucket, content=str(number).encode(), user_metadata={"job-id": str(number)})
        chain.append(await store.put(replace(upload, if_match=chain[-1].etag)))
    with pytest.raises(PreconditionFailed):
        await store.put(upload_to(bucket, content=b"late", if_match=chain[0].etag))
    versions = await store.versions(bucket, KEY)
    assert [version.version_id for version in versions] == [stored.version_id for stored in reversed(chain)]
    assert [version.user_metadata["job-id"] for version in versions] == ["3", "2", "1", "0"]


async def test_versions_are_those_of_exactly_this_key(s3: SeaweedFS, store: S3ObjectStore, bucket: str) -> None:
    wanted = await store.put(upload_to(bucket))
    for longer in ("0", "1", "/x"):
        if longer != "/x":  # SeaweedFS: a key cannot be an object and a folder at once
            await store.put(upload_to(bucket, KEY + longer))
    assert [version.version_id for version in await store.versions(bucket, KEY)] == [wanted.version_id]
    assert await store.versions(bucket, "PSF/OsvRecord/ab/abcdef/v") == []


async def test_a_delete_marker_hides_the_object_and_not_its_versions(
    s3: SeaweedFS, store: S3ObjectStore, bucket: str
) -> None:
    stored = await store.put(upload_to(bucket))
    marker = s3.client().delete_object(Bucket=bucket, Key=KEY)["VersionId"]
    assert await store.head(bucket, KEY) is None
    assert await store.head(bucket, KEY, marker) is None
    assert [version.version_id for version in await store.versions(bucket, KEY)] == [stored.version_id]
    with pytest.raises(FileNotFoundError):
        await content_of(store, bucket, KEY, None)
    with pytest.raises(PreconditionFailed):
        await store.put(upload_to(bucket, if_match=stored.etag))
    again = await store.put(upload_to(bucket))
    assert [version.version_id for version in await store.versions(bucket, KEY)] == [
        again.version_id,
        stored.version_id,
    ]


async def test_a_compliance_lock_is_lengthened_and_never_shortened(
    s3: SeaweedFS, store: S3ObjectStore, bucket: str
) -> None:
    stored = await store.put(upload_to(bucket))
    assert stored.retain_until is not None
    later = stored.retain_until + timedelta(days=400)
    await store.lengthen_lock(bucket, KEY, stored.version_id, later)
    await store.lengthen_lock(bucket, KEY, stored.version_id, stored.retain_until)

    where = {"Bucket": bucket, "Key": KEY, "VersionId": stored.version_id}
    assert s3.client().get_object_retention(**where)["Retention"] == {"Mode": "COMPLIANCE", "RetainUntilDate": later}
    seen = await store.head(bucket, KEY)
    assert seen is not None
    assert seen.retain_until == later
    with pytest.raises(ClientError):
        s3.client().delete_object(**where)


async def test_a_lock_keeps_its_mode_when_the_setting_changes(s3: SeaweedFS, store: S3ObjectStore, bucket: str) -> None:
    stored = await store.put(upload_to(bucket))
    later = datetime(2044, 5, 6, 7, 8, 9, tzinfo=UTC)
    async with open_s3(options_of(s3, object_lock_mode="GOVERNANCE")) as governed:
        await governed.lengthen_lock(bucket, KEY, stored.version_id, later)
        await governed.put(upload_to(bucket, "governed"))
    retention = s3.client().get_object_retention(Bucket=bucket, Key=KEY, VersionId=stored.version_id)["Retention"]
    assert retention == {"Mode": "COMPLIANCE", "RetainUntilDate": later}
    assert s3.client().get_object_retention(Bucket=bucket, Key="governed")["Retention"]["Mode"] == "GOVERNANCE"


async def test_a_version_that_is_gone_is_told_apart(store: S3ObjectStore, bucket: str) -> None:
    stored = await store.put(upload_to(bucket))
    gone = "0" * len(stored.version_id)
    assert await store.head(bucket, KEY, gone) is None
    assert await store.head(bucket, "nothing") is None
    assert await store.versions(bucket, "nothing") == []
    with pytest.raises(FileNotFoundError):
        await content_of(store, bucket, "nothing", None)
    with pytest.raises(FileNotFoundError):
        await content_of(store, bucket, KEY, gone)
    with pytest.raises(PreconditionFailed):
        await store.lengthen_lock(bucket, KEY, gone, datetime.now(UTC) + timedelta(days=900))


async def test_a_wrong_secret_makes_the_work_wait(s3: SeaweedFS, bucket: str) -> None:
    async with open_s3(options_of(s3, secret_key="not-the-secret")) as store:
        for attempt in (
            store.put(upload_to(bucket)),
            store.head(bucket, KEY),
            store.versions(bucket, KEY),
            store.check([bucket]),
            store.prepare([bucket], []),
        ):
            with pytest.raises(Unavailable) as caught:
                await attempt
            assert "HTTP 403" in caught.value.reason
            assert "not-the-secret" not in str(caught.value)
        with pytest.raises(Unavailable, match=r"SignatureDoesNotMatch.*check objectstorage.connection.access-key"):
            await store.put(upload_to(bucket))


async def test_a_missing_bucket_is_named_with_its_remedy(store: S3ObjectStore) -> None:
    for attempt in (
        store.put(upload_to("no-such-bucket")),
        store.check(["no-such-bucket"]),
        store.prepare(["no-such-bucket"], []),
    ):
        with pytest.raises(Unavailable, match=r"bucket no-such-bucket: HTTP 404 NoSuchBucket.*create-bucket"):
            await attempt


async def test_a_bucket_without_versions_or_lock_is_refused(s3: SeaweedFS, store: S3ObjectStore) -> None:
    plain = s3.create_bucket(f"b-{uuid.uuid4().hex[:12]}", lock=False)
    with pytest.raises(Unavailable, match=f"bucket {plain}: versioning is never enabled"):
        await store.prepare([plain], [])
    with pytest.raises(Unavailable, match=plain):
        await store.put(upload_to(plain))
    async with open_s3(options_of(s3, object_lock_enabled=False)) as unlocked:
        with pytest.raises(Unavailable, match=f"bucket {plain} keeps no versions: enable versioning"):
            await unlocked.put(upload_to(plain))
    s3.client().put_bucket_versioning(Bucket=plain, VersioningConfiguration={"Status": "Enabled"})
    with pytest.raises(Unavailable, match=f"bucket {plain} has no object lock; enable it, or set objectstorage"):
        await store.prepare([plain], [])
    async with open_s3(options_of(s3, object_lock_enabled=False)) as unlocked:
        await unlocked.prepare([plain], [])
        stored = await unlocked.put(upload_to(plain))
        assert stored.retain_until is None
        await unlocked.lengthen_lock(plain, KEY, stored.version_id, datetime.now(UTC) + timedelta(days=9))
        assert await unlocked.head(plain, KEY) is not None


async def test_content_that_differs_from_its_hash_is_not_stored(store: S3ObjectStore, bucket: str) -> None:
    with pytest.raises(Unavailable, match="changed on the way"):
        await store.put(upload_to(bucket, sha256=hashlib.sha256(b"other").hexdigest()))
    assert await store.versions(bucket, KEY) == []


async def test_a_store_that_is_away_is_unavailable(bucket: str, s3: SeaweedFS) -> None:
    async with open_s3(options_of(s3, access_url="http://127.0.0.1:1")) as store:
        with pytest.raises(Unavailable):
            await store.put(upload_to(bucket))
        with pytest.raises(Unavailable):
            await store.check([bucket])
        with pytest.raises(Unavailable):
            await content_of(store, bucket, KEY, None)


async def test_a_file_is_put_from_the_disk_and_locked_until_a_day(
    s3: SeaweedFS, store: S3ObjectStore, bucket: str, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 50_000  # 12.8 MB, more than one piece of the store
    path = tmp_path / "leaves"
    path.write_bytes(content)
    file = FileContent(path, len(content), hashlib.md5(content).hexdigest())
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=400)
    sha256 = hashlib.sha256(content).hexdigest()
    upload = replace(upload_to(bucket), content=file, sha256=sha256, retain_days=None, tag=None, retain_until=until)
    stored = await store.put(upload)
    assert (stored.size, stored.retain_until) == (len(content), until)
    assert await content_of(store, bucket, KEY, stored.version_id) == content
    found = await store.head(bucket, KEY)
    assert found is not None
    assert found.retain_until == until
    with pytest.raises(PreconditionFailed):
        await store.put(upload)
