"""Extracts metadata values from documents: from one that is being archived, or from a stored one."""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Callable, Sequence

from app.catalog.lanes import LARGE_DOCUMENT
from app.catalog.registry import Registry
from app.domain.artifacts import Document, StoredObject
from app.domain.definitions import Definition
from app.domain.extraction import KeyedPath, MetadataValue
from app.domain.readiness import OBJECT_STORE, Readiness
from app.objectstore import ObjectRejected, ObjectStore
from app.outages import through_outages
from app.sources.memory import ByteBudget

LARGE_VALUES = 256 * 1024 * 1024
"""Bytes of JSON that the values of one artifact may have together; PostgreSQL takes 1 GB in one statement."""

Values = dict[str, MetadataValue]

log = logging.getLogger(__name__)


class UnreadableDocument(Exception):
    """Nothing can be extracted from this stored object; the text says why."""


class Extractor:
    """Extraction from a document never fails; reading a stored one can. `definition_of` is that of `Definitions`.

    Stored documents count as memory in flight (`budget`), as fetched documents do.
    """

    def __init__(
        self,
        objects: ObjectStore,
        registry: Registry,
        readiness: Readiness,
        budget: ByteBudget,
        definition_of: Callable[[str], Definition],
    ) -> None:
        self.definition_of = definition_of
        self._objects = objects
        self._registry = registry
        self._readiness = readiness
        self._budget = budget
        self._large = asyncio.Semaphore(1)  # a check in archiving waits for one of ours, not for many

    async def values(self, document: Document, definition: Definition) -> Values:
        """The values of a document that was checked against its schema."""
        if not definition.paths:
            return {}
        return await self._registry.metadata_async(
            document.content, document.content_type, document.schema, definition.paths, checked=True
        )

    async def stored_values(self, stored: StoredObject, definition: Definition) -> Values | None:
        """The values of a stored object; None when the object cannot be read. Waits through outages."""
        try:
            return await self.read(stored, definition.paths) if definition.paths else {}
        except UnreadableDocument as unreadable:
            log.warning("metadata of %s: %s", stored.key, unreadable)
            return None

    async def read(self, stored: StoredObject, paths: Sequence[KeyedPath]) -> Values:
        """The values of a stored object, all keys from one read.

        Waits through outages and for memory; raises Unreadable.
        """
        async with self._large if stored.size > LARGE_DOCUMENT else contextlib.nullcontext():
            lease = await self._budget.lease()
            try:
                await lease.resize(stored.size)
                content = await through_outages(self._readiness, OBJECT_STORE, lambda: self._read(stored))
                return await self._values(content, stored, paths)
            finally:
                lease.release()

    async def _values(self, content: bytes, stored: StoredObject, paths: Sequence[KeyedPath]) -> Values:
        digest = hashlib.sha256
        hashed = await asyncio.to_thread(digest, content) if len(content) > LARGE_DOCUMENT else digest(content)
        if hashed.hexdigest() != stored.sha256:
            raise UnreadableDocument("the stored object is not what was archived: its SHA-256 differs")
        values = await self._registry.metadata_async(content, stored.content_type, stored.schema, paths, checked=False)
        if sum(len(value.json) for value in values.values()) > LARGE_VALUES:
            raise UnreadableDocument(f"the values have more than {LARGE_VALUES} bytes together; choose narrower paths")
        return values

    async def _read(self, stored: StoredObject) -> bytes:
        """The content; never more bytes than were archived, whatever the store has now."""
        pieces, size = [], 0
        try:
            async for piece in self._objects.read(stored.bucket, stored.key, stored.version_id):
                pieces.append(piece)
                size += len(piece)
                if size > stored.size:
                    break
        except FileNotFoundError as error:
            raise UnreadableDocument("the stored object is gone") from error
        except ObjectRejected as error:
            raise UnreadableDocument(error.cause) from error
        return b"".join(pieces)
