"""Reading stored documents for their values: within the budget of memory, and never longer than they were archived."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from app.catalog.registry import Registry, load_registry
from app.domain.archive_types import ExtractionPath, SchemaName
from app.domain.artifacts import StoredObject
from app.domain.definitions import NOTHING
from app.domain.extraction import compile_paths
from app.domain.readiness import Readiness
from app.metadata import extract
from app.metadata.extract import Extractor, UnreadableDocument
from app.objectstore import ObjectStore
from app.sources.memory import ByteBudget
from tests.servers.fetch import REPOSITORY

SCHEMA = SchemaName("PSF", "OsvRecord", 1)
PATHS = compile_paths([ExtractionPath("id", "id"), ExtractionPath("items", "items[*].id")])


def stored(content: bytes, **changes: Any) -> StoredObject:
    digest = hashlib.sha256(content).hexdigest()
    return StoredObject(
        **{
            "bucket": "archive",
            "key": "k",
            "version_id": "v",
            "sha256": digest,
            "size": len(content),
            "content_type": "application/json",
            "schema": SCHEMA,
            **changes,
        }
    )


class Objects:
    """In the place of the object store: gives one content in small pieces, and notes what is held meanwhile."""

    def __init__(self, content: bytes, budget: ByteBudget) -> None:
        self.content = content
        self.budget = budget
        self.given = 0
        self.most = 0

    async def read(self, _bucket: str, _key: str, _version_id: str | None) -> AsyncIterator[bytes]:
        for start in range(0, len(self.content), 64 * 1024):
            self.most = max(self.most, self.budget.used)
            piece = self.content[start : start + 64 * 1024]
            self.given += len(piece)
            await asyncio.sleep(0)
            yield piece


@pytest.fixture(scope="module")
def registry() -> Any:
    registry = load_registry(REPOSITORY / "contracts" / "archive-types")
    yield registry
    registry.close()


def extractor(content: bytes, registry: Registry, limit: int) -> tuple[Extractor, Objects]:
    budget = ByteBudget(limit)
    objects = Objects(content, budget)
    return Extractor(cast("ObjectStore", objects), registry, Readiness(()), budget, lambda _: NOTHING), objects


def document(size: int) -> bytes:
    items = [{"id": number, "text": "x" * 200} for number in range(size // 230)]
    return json.dumps({"id": "D", "items": items}).encode()


async def test_what_is_read_is_within_the_budget_and_given_back(registry: Registry) -> None:
    content = document(200_000)
    reader, objects = extractor(content, registry, 450_000)
    found = await asyncio.gather(*(reader.read(stored(content), PATHS) for _ in range(10)))
    assert all(each["id"].value == "D" for each in found)
    assert 200_000 < objects.most <= 450_000 + len(content), "the limit, and one document more"
    assert objects.budget.used == objects.budget.leases == 0


async def test_an_object_that_is_longer_than_it_was_is_not_read_to_its_end(registry: Registry) -> None:
    content = document(2_000_000)
    reader, objects = extractor(content, registry, 64_000_000)
    with pytest.raises(UnreadableDocument, match="SHA-256 differs"):
        await reader.read(stored(content, size=100), PATHS)
    assert objects.given <= 64 * 1024 * 2
    assert objects.budget.used == 0


async def test_values_that_are_too_large_together_are_an_error_of_their_artifact(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract, "LARGE_VALUES", 1_000)
    content = document(100_000)
    reader, _ = extractor(content, registry, 64_000_000)
    with pytest.raises(UnreadableDocument, match="choose narrower paths"):
        await reader.read(stored(content), PATHS)
    assert (await reader.read(stored(content), PATHS[:1]))["id"].value == "D"
