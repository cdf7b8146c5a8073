"""Many readers share the look at one schema file, in good days and in bad ones."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from app.domain.artifacts import StoredArtifact
from app.domain.errors import Unavailable
from app.objectstore import ObjectStoreError, ObjectVersion
from app.verify.read_back import Reader, ReadVersion, SchemaProblem, UnreadableVersion
from app.verify.read_rate import ReadRate

SCHEMA_KEY = "archive-data-schema/PSF_OsvRecord_1.schema.json"
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
SHA256 = hashlib.sha256(b"{}").hexdigest()


class Store:
    """Each look at the schema file takes the next of `errors`, while all readers wait."""

    def __init__(self, *errors: Exception | None) -> None:
        self.errors = list(errors)
        self.schema_looks = 0
        self.schema_hash = SHA256

    async def head(self, bucket: str, key: str, version_id: str | None = None) -> ObjectVersion:
        metadata = {"hash": SHA256, "schema-file-key": SCHEMA_KEY, "schema-file-version-id": "s-1"}
        if key == SCHEMA_KEY:
            self.schema_looks += 1
            error = self.errors.pop(0) if self.errors else None
            for _ in range(50):
                await asyncio.sleep(0)
            if error is not None:
                raise error
            metadata = {"hash": self.schema_hash}
        return ObjectVersion(bucket, key, version_id or "v", '"e"', 2, metadata, MOMENT, None)

    async def read(self, bucket: str, key: str, version_id: str | None) -> AsyncIterator[bytes]:
        yield b"{}"

    async def check(self, buckets: Any) -> None:
        pass


def stored(key: str) -> StoredArtifact:
    schema = ("PSF", "OsvRecord", 1)
    return StoredArtifact("b", key, "v", SHA256, 2, "application/json", *schema, "osv", "hash", 1, MOMENT, None, ())


def reader_of(store: Any) -> Reader:
    async def no_pause(_seconds: float) -> None:
        await asyncio.sleep(0)

    return Reader(store, ReadRate(None), lambda _size: None, no_pause)


async def looks(store: Store, number: int = 8) -> list[ReadVersion | UnreadableVersion | BaseException | None]:
    reader = reader_of(store)
    return await asyncio.gather(*(reader.look(stored(f"k{n}")) for n in range(number)), return_exceptions=True)


def is_well(seen: object) -> bool:
    return isinstance(seen, ReadVersion) and seen.schema_problem is None


async def test_a_schema_file_is_read_once_for_all() -> None:
    store = Store()
    assert all(map(is_well, await looks(store)))
    assert store.schema_looks == 1


@pytest.mark.parametrize("hiccups", [1, 2])
async def test_a_hiccup_while_all_wait_for_the_schema_file_is_passed_over_by_all(hiccups: int) -> None:
    store = Store(*[Unavailable("objectstore", "SlowDown")] * hiccups)
    assert all(map(is_well, await looks(store)))
    assert store.schema_looks == hiccups + 1


async def test_a_schema_file_that_cannot_be_read_is_said_of_each_object() -> None:
    results = await looks(Store(ObjectStoreError("refused")))
    assert all(isinstance(result, UnreadableVersion) and result.reason == "refused" for result in results)


async def test_one_reader_who_gives_up_does_not_end_the_look_of_the_others() -> None:
    store = Store()
    reader = reader_of(store)
    tasks = [asyncio.create_task(reader.look(stored(f"k{n}"))) for n in range(3)]
    while not store.schema_looks:  # noqa: ASYNC110 - there is no event
        await asyncio.sleep(0)
    tasks[0].cancel()
    assert all(map(is_well, await asyncio.gather(*tasks[1:])))
    assert store.schema_looks == 1


async def test_what_is_wrong_with_a_schema_file_says_which_one_it_is() -> None:
    store = Store()
    store.schema_hash = "0" * 64
    seen = await reader_of(store).look(stored("k"))
    assert isinstance(seen, ReadVersion)
    assert seen.schema_problem == SchemaProblem("b", SCHEMA_KEY, "s-1", f"sha256 {SHA256}, not {'0' * 64}")
