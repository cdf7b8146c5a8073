"""Versions that the database names, and listings that are never divided within a key."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pytest

from app.db.verify import DamagedTask, StoredTask
from app.domain.artifacts import StoredArtifact
from app.objectstore import ListedVersion
from app.verify import known as module
from app.verify.known import KnownVersions
from app.verify.unknown import whole_keys
from tests.support.rows import stored_artifact

JOB = UUID(int=1)


def listed(key: str, version: str = "v", bucket: str = "archive") -> ListedVersion:
    return ListedVersion(bucket, key, version, 1, datetime.now(UTC))


class Named:
    """A task of which only the place of its object is looked at."""

    def __init__(self, stored: StoredArtifact) -> None:
        self.stored = stored


async def each(*tasks: Any) -> AsyncIterator[StoredTask | DamagedTask]:
    for task in tasks:
        yield task


def named(key: str, version: str = "v", bucket: str = "archive") -> StoredTask:
    return cast("StoredTask", Named(replace(stored_artifact(version), key=key, bucket=bucket)))


async def test_only_exactly_what_the_database_names_is_known() -> None:
    with KnownVersions() as known:
        await known.fill(each(named("a"), named("a", "w"), named("b", bucket="other")), asyncio.Event())
        strange = [listed("a", "x"), listed("b"), listed("av", ""), listed("c")]
        assert await known.without([listed("a"), listed("a", "w"), listed("b", bucket="other"), *strange]) == strange
        assert known.buckets == {"archive", "other"}


async def test_an_object_that_serves_several_tasks_is_named_several_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    with KnownVersions() as known:
        await known.fill(each(*[named("a")] * 5, named("b")), asyncio.Event())
        assert await known.without([listed("a"), listed("b")]) == []


async def test_filling_ends_between_batches_when_it_is_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    stop = asyncio.Event()
    stop.set()
    with KnownVersions() as known:
        await known.fill(each(*map(named, "abcd")), stop)
        assert [each.key for each in await known.without([listed("b"), listed("c")])] == ["c"]


@pytest.mark.parametrize(
    ("pages", "batches"),
    [
        ([], []),
        (["a"], ["a"]),
        (["aa", "ab"], ["aaa", "b"]),
        (["ab", "bb", "bc"], ["a", "bbbb", "c"]),
        (["abc", "d"], ["ab", "c", "d"]),
        (["aaaa"], ["aaaa"]),
    ],
)
async def test_batches_end_behind_a_key(pages: Sequence[str], batches: Sequence[str]) -> None:
    async def listing() -> AsyncIterator[Sequence[ListedVersion]]:
        for page in pages:
            yield [listed(key) for key in page]

    found = ["".join(each.key for each in batch) async for batch in whole_keys(listing())]
    assert found == batches
