"""All versions of a bucket on disk, in pages, from anywhere on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.domain.errors import Unavailable
from app.objectstore import ListedVersion
from app.objectstore import filesystem as module
from app.objectstore.filesystem import FilesystemObjectStore
from tests.unit.objectstore.uploads import upload_to

KEYS = ["a", "a/b", "a/b/c", "a-b/c", "a b/ü", "x" * 300, "..x/.y", "//", "PSF/S/ab/abcdef/v1", "PSF/S/ab/abcdef/v10"]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FilesystemObjectStore]:
    store = FilesystemObjectStore(tmp_path)
    await store.prepare(["bucket"], [])
    yield store
    await store.close()


async def listed(store: FilesystemObjectStore, after: str | None = None) -> list[ListedVersion]:
    return [version async for page in store.list_versions("bucket", after) for version in page]


async def test_every_version_is_listed_once_and_goes_on_behind_any_key(
    store: FilesystemObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 3)
    stored = {}
    for key in KEYS:
        first = await store.put(upload_to("bucket", key))
        second = await store.put(upload_to("bucket", key, b"other", if_match=first.etag))
        stored[key] = [second.version_id, first.version_id]
    found = await listed(store)
    order = list(dict.fromkeys(version.key for version in found))
    assert sorted(order) == sorted(KEYS)
    assert [version.version_id for version in found] == [each for key in order for each in stored[key]]
    assert found[0].size == 5
    for place, key in enumerate(order):
        assert [version.key for version in await listed(store, key)][::2] == order[place + 1 :]
    assert {version.key for version in await listed(store, "a/aa")} < set(KEYS)


async def test_what_is_not_complete_is_not_listed(store: FilesystemObjectStore, tmp_path: Path) -> None:
    stored = await store.put(upload_to("bucket", "k"))
    (tmp_path / "bucket" / "k" / stored.version_id).unlink()
    assert await listed(store) == []


async def test_a_bucket_that_is_missing_is_said(store: FilesystemObjectStore) -> None:
    with pytest.raises(Unavailable, match="bucket none does not exist"):
        async for _ in store.list_versions("none"):
            pass
