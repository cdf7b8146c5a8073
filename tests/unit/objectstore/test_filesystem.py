"""The object store of the embedded service."""

import asyncio
import contextlib
import errno
import hashlib
import json
import os
import resource
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.domain.archive_types import ArchiveDataType, SchemaFile, SchemaName
from app.domain.errors import Unavailable
from app.objectstore import FileContent, ObjectRejected, ObjectStore, ObjectVersion, PreconditionFailed
from app.objectstore import filesystem_layout as layout
from app.objectstore.filesystem import FilesystemObjectStore
from tests.unit.objectstore.uploads import KEY, upload_to

BUCKET = "archive"
REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FilesystemObjectStore]:
    opened = FilesystemObjectStore(tmp_path)
    await opened.prepare([BUCKET], [])
    yield opened
    await opened.close()


def files_under(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


async def content_of(store: ObjectStore, key: str = KEY, version_id: str | None = None) -> bytes:
    return b"".join([chunk async for chunk in store.read(BUCKET, key, version_id)])


async def test_everything_put_can_be_read_back(store: FilesystemObjectStore, tmp_path: Path) -> None:
    before = datetime.now(UTC)
    stored = await store.put(upload_to(BUCKET))
    assert stored.retain_until is not None
    assert before + timedelta(days=30) <= stored.retain_until <= datetime.now(UTC) + timedelta(days=30)
    assert await store.head(BUCKET, KEY) == stored
    assert await store.head(BUCKET, KEY, stored.version_id) == stored
    assert await store.versions(BUCKET, KEY) == [stored]
    assert await content_of(store) == b'{"id": 1}'
    assert await content_of(store, version_id=stored.version_id) == b'{"id": 1}'

    data = tmp_path / BUCKET / KEY / stored.version_id
    assert stat.S_IMODE(data.stat().st_mode) == 0o444
    said = json.loads(data.with_suffix(".json").read_text())
    assert said["content_type"] == "application/json"
    assert said["sha256"] == upload_to(BUCKET).sha256
    assert said["tag"] == {"ArchiveTypeLifecyclePolicy": "PSF_OsvRecord_30_30"}


async def test_objects_outlive_the_process(store: FilesystemObjectStore, tmp_path: Path) -> None:
    stored = await store.put(upload_to(BUCKET))
    again = FilesystemObjectStore(tmp_path)
    assert await again.versions(BUCKET, KEY) == [stored]
    with pytest.raises(PreconditionFailed):
        await again.put(upload_to(BUCKET))
    await again.close()


async def test_racing_puts_leave_one_version(store: FilesystemObjectStore) -> None:
    uploads = [upload_to(BUCKET, content=f"document {number}".encode()) for number in range(16)]
    results = await asyncio.gather(*map(store.put, uploads), return_exceptions=True)
    won = [result for result in results if isinstance(result, ObjectVersion)]
    assert len(won) == 1
    assert sum(isinstance(result, PreconditionFailed) for result in results) == 15
    assert await store.versions(BUCKET, KEY) == won


async def test_racing_stores_on_the_same_content_lose_nothing(store: FilesystemObjectStore) -> None:
    results = await asyncio.gather(*(store.put(upload_to(BUCKET, f"key-{number}")) for number in range(100)))
    assert len({result.version_id for result in results}) == 100
    assert all([await store.head(BUCKET, result.key) == result for result in results])


async def test_a_cancelled_put_and_the_next_leave_one_version(store: FilesystemObjectStore) -> None:
    for number in range(20):
        key = f"key-{number}"
        put = asyncio.create_task(store.put(upload_to(BUCKET, key)))
        await asyncio.sleep(number * 0.0001)
        put.cancel()
        await asyncio.gather(put, return_exceptions=True)
        with contextlib.suppress(PreconditionFailed):  # the thread of the first may have gone on
            await store.put(upload_to(BUCKET, key, content=b"second"))
        assert len(await store.versions(BUCKET, key)) == 1


async def test_each_version_follows_the_etag_of_the_one_before(store: FilesystemObjectStore) -> None:
    first = await store.put(upload_to(BUCKET, content=b"1"))
    second = await store.put(upload_to(BUCKET, content=b"2", if_match=first.etag))
    with pytest.raises(PreconditionFailed):
        await store.put(upload_to(BUCKET, content=b"3", if_match=first.etag))
    with pytest.raises(PreconditionFailed):
        await store.put(upload_to(BUCKET, "another", if_match=first.etag))
    assert await store.versions(BUCKET, KEY) == [second, first]
    assert await store.head(BUCKET, KEY) == second
    assert await content_of(store, version_id=first.version_id) == b"1"


async def test_versions_stay_in_order_when_the_clock_goes_back(
    store: FilesystemObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await store.put(upload_to(BUCKET, content=b"1"))
    monkeypatch.setattr("app.objectstore.filesystem_layout.time.time_ns", lambda: 1)
    second = await store.put(upload_to(BUCKET, content=b"2", if_match=first.etag))
    assert await store.versions(BUCKET, KEY) == [second, first]


async def test_a_key_may_be_the_start_of_another(store: FilesystemObjectStore) -> None:
    keys = ["a", "a/v1", "a/v1/x", "a/v10", "A/V1", "a/" + "0" * 32, "a/" + "0" * 32 + ".json"]
    stored = {key: await store.put(upload_to(BUCKET, key)) for key in keys}
    for key in keys:
        assert await store.versions(BUCKET, key) == [stored[key]]


@pytest.mark.parametrize(
    "key",
    [
        "/etc/passwd",
        "a//b",
        "a/",
        "nul\0byte",
        "x" * 255 + "/v1",
        "ü" * 400,
        ".lifecycle.json",
        "…/%2E%2E/~",
        "a\\..\\b",
    ],
)
async def test_no_key_leaves_its_bucket(store: FilesystemObjectStore, tmp_path: Path, key: str) -> None:
    stored = await store.put(upload_to(BUCKET, key))
    assert await store.versions(BUCKET, key) == [stored]
    assert await content_of(store, key) == b'{"id": 1}'
    assert all(name.startswith(f"{BUCKET}/") for name in files_under(tmp_path))
    assert len(files_under(tmp_path)) == 2


async def test_names_of_keys_are_all_different(tmp_path: Path) -> None:
    keys = ["a/b", "a//b", "a/b/", "/a/b", "a%2Fb", "a/%", "a/%25", "a/.b", "a/%2Eb", "a b", "a+b", "a%20b", "x" * 300]
    assert len({layout.directory_of(tmp_path, BUCKET, key) for key in keys}) == len(keys)


@pytest.mark.parametrize("key", ["../../etc/passwd", "a/../b", ".", "a/./b", "", "k" * 1025])
async def test_keys_that_no_store_takes_are_rejected(store: FilesystemObjectStore, key: str) -> None:
    with pytest.raises(ObjectRejected, match="object key"):
        await store.put(upload_to(BUCKET, key))
    assert await store.head(BUCKET, key) is None


async def test_a_version_without_its_content_does_not_count(store: FilesystemObjectStore, tmp_path: Path) -> None:
    stored = await store.put(upload_to(BUCKET))
    (tmp_path / BUCKET / KEY / stored.version_id).unlink()
    assert await store.head(BUCKET, KEY) is None
    assert await store.versions(BUCKET, KEY) == []
    with pytest.raises(FileNotFoundError):
        await content_of(store)


async def test_a_version_whose_content_became_longer_is_there_and_read_as_it_is(
    store: FilesystemObjectStore, tmp_path: Path
) -> None:
    """No crash does that: who reads it finds out by its hash, and nobody calls it gone."""
    stored = await store.put(upload_to(BUCKET))
    file = tmp_path / BUCKET / KEY / stored.version_id
    file.chmod(0o644)
    file.write_bytes(file.read_bytes() + b"x")
    assert await store.head(BUCKET, KEY) == stored
    assert await content_of(store) == b'{"id": 1}x'


async def test_a_disk_that_is_full_leaves_nothing_half_written(store: FilesystemObjectStore, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(Unavailable) as caught:
            await store.put(upload_to(BUCKET, content=b"x" * 200_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.component == "objectstore"
    assert "File too large" in caught.value.reason
    assert files_under(tmp_path) == []
    await store.put(upload_to(BUCKET, content=b"x" * 200_000))


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EIO])
async def test_a_refusing_file_system_is_unavailable_with_its_reason(
    store: FilesystemObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    for call in ("open", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(f"app.objectstore.filesystem_layout.os.{call}", refuse)
            with pytest.raises(Unavailable, match=os.strerror(code)):
                await store.put(upload_to(BUCKET))
        assert files_under(tmp_path) == []
    await store.put(upload_to(BUCKET))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_read_only_directory_is_unavailable(store: FilesystemObjectStore, tmp_path: Path) -> None:
    (tmp_path / BUCKET).chmod(0o555)
    try:
        for attempt in (store.put(upload_to(BUCKET)), store.check([BUCKET]), store.prepare([BUCKET], [])):
            with pytest.raises(Unavailable):
                await attempt
    finally:
        (tmp_path / BUCKET).chmod(0o755)


async def test_a_root_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = FilesystemObjectStore(tmp_path / "file" / "objects")
    with pytest.raises(Unavailable, match="file"):
        await store.prepare([BUCKET], [])
    await store.close()


async def test_a_missing_bucket_is_unavailable(store: FilesystemObjectStore) -> None:
    for attempt in (store.put(upload_to("other")), store.check(["other"]), store.put(upload_to("../other"))):
        with pytest.raises(Unavailable, match="other"):
            await attempt
    assert await store.head("other", KEY) is None
    await store.check([BUCKET])


async def test_content_that_differs_from_its_hash_is_not_stored(store: FilesystemObjectStore) -> None:
    with pytest.raises(Unavailable, match="changed on the way"):
        await store.put(upload_to(BUCKET, sha256="0" * 64))
    assert await store.head(BUCKET, KEY) is None


async def test_a_lock_is_lengthened_and_never_shortened(store: FilesystemObjectStore, tmp_path: Path) -> None:
    stored = await store.put(upload_to(BUCKET))
    assert stored.retain_until is not None
    later = stored.retain_until + timedelta(days=400)
    await store.lengthen_lock(BUCKET, KEY, stored.version_id, later)
    await store.lengthen_lock(BUCKET, KEY, stored.version_id, stored.retain_until)
    assert await store.head(BUCKET, KEY) == replace(stored, retain_until=later)
    assert len(files_under(tmp_path)) == 2
    with pytest.raises(PreconditionFailed):
        await store.lengthen_lock(BUCKET, KEY, "0" * 32, later)


async def test_without_object_lock_nothing_is_locked(tmp_path: Path) -> None:
    store = FilesystemObjectStore(tmp_path, object_lock_enabled=False)
    await store.prepare([BUCKET], [])
    stored = await store.put(upload_to(BUCKET))
    await store.lengthen_lock(BUCKET, KEY, stored.version_id, datetime.now(UTC) + timedelta(days=1))
    assert stored.retain_until is None
    assert await store.head(BUCKET, KEY) == stored
    await store.close()


async def test_lifecycle_rules_are_written_down_once(store: FilesystemObjectStore, tmp_path: Path) -> None:
    types = [
        ArchiveDataType(SchemaName("PSF", name, 1), "id", 90, SchemaFile(b"{}", "schema.json", "")) for name in "AB"
    ]
    await store.prepare([BUCKET], types[:1])
    await store.prepare([BUCKET], types)
    await store.prepare([BUCKET], types)
    rules = json.loads((tmp_path / BUCKET / ".lifecycle.json").read_text())["Rules"]
    assert [rule["ID"] for rule in rules] == ["PSF_A_90_90", "PSF_B_90_90"]


async def test_the_protocol_is_kept(store: FilesystemObjectStore) -> None:
    typed: ObjectStore = store  # mypy checks it
    assert await typed.head(BUCKET, KEY, "../../x") is None


async def test_where_lifecycle_rules_are_switched_off_none_are_written_down(tmp_path: Path) -> None:
    store = FilesystemObjectStore(tmp_path, lifecycle_enabled=False)
    data_type = ArchiveDataType(SchemaName("PSF", "A", 1), "id", 90, SchemaFile(b"{}", "schema.json", ""))
    await store.prepare([BUCKET], [data_type])
    assert list((tmp_path / BUCKET).iterdir()) == []
    await store.close()


async def test_a_file_is_put_from_the_disk_and_locked_until_a_day(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    (tmp_path / "leaves").write_bytes(content)
    file = FileContent(tmp_path / "leaves", len(content), "")
    until = datetime(2046, 5, 8, tzinfo=UTC)
    store = FilesystemObjectStore(tmp_path / "objects")
    await store.prepare(["archive"], [])
    sha256 = hashlib.sha256(content).hexdigest()
    stored = await store.put(replace(upload_to("archive"), content=file, sha256=sha256, retain_until=until))
    assert (stored.size, stored.retain_until) == (len(content), until)
    assert b"".join([piece async for piece in store.read("archive", KEY, stored.version_id)]) == content
    with pytest.raises(Unavailable, match="changed on the way"):
        await store.put(replace(upload_to("archive", "other"), content=file))
    await store.close()
