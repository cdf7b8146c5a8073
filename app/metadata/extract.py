"""Reads metadata values out of documents: one that is being archived, or one that is stored."""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Sequence

from app.catalog.registry import Registry
from app.domain.artifacts import Document, StoredObject
from app.domain.definitions import Definition
from app.domain.extraction import KeyedPath, MetadataValue, metadata_values
from app.domain.readiness import OBJECT_STORE, Readiness
from app.objectstore import ObjectRejected, ObjectStore
from app.outages import through_outages

LARGE = 256 * 1024
"""Bytes above which a document is hashed and read beside the event loop."""

Values = dict[str, MetadataValue]

log = logging.getLogger(__name__)


class Unreadable(Exception):
    """Nothing can be extracted from this stored object; the text says why."""


class Extractor:
    """Extraction of a document never fails; reading a stored one can. `definition_of` is that of `Definitions`."""

    def __init__(
        self,
        objects: ObjectStore,
        registry: Registry,
        readiness: Readiness,
        definition_of: Callable[[str], Definition],
    ) -> None:
        self.definition_of = definition_of
        self._objects = objects
        self._registry = registry
        self._readiness = readiness

    async def values(self, document: Document, definition: Definition) -> Values:
        """Of a document that was checked in this process."""
        paths = definition.paths
        if not paths:
            return {}

        def extract() -> Values:
            found = self._registry.values(document.content, document.content_type, document.schema, checked=True)
            return metadata_values(paths, found)

        return await asyncio.to_thread(extract) if len(document.content) > LARGE else extract()

    async def stored_values(self, stored: StoredObject, definition: Definition) -> Values | None:
        """Of a stored object, None where it cannot be read. Waits through outages."""
        try:
            return await self.read(stored, definition.paths) if definition.paths else {}
        except Unreadable as unreadable:
            log.warning("metadata of %s: %s", stored.key, unreadable)
            return None

    async def read(self, stored: StoredObject, paths: Sequence[KeyedPath]) -> Values:
        """Of a stored object, all keys from one read. Waits through outages; raises Unreadable."""
        content = await through_outages(self._readiness, OBJECT_STORE, lambda: self._read(stored))

        def extract() -> Values:
            if hashlib.sha256(content).hexdigest() != stored.sha256:
                raise Unreadable("the stored object is not what was archived: its SHA-256 differs")
            found = self._registry.values(content, stored.content_type, stored.schema, checked=False)
            return metadata_values(paths, found)

        return await asyncio.to_thread(extract) if len(content) > LARGE else extract()

    async def _read(self, stored: StoredObject) -> bytes:
        try:
            return b"".join([chunk async for chunk in self._objects.read(stored.bucket, stored.key, stored.version_id)])
        except FileNotFoundError as error:
            raise Unreadable("the stored object is gone") from error
        except ObjectRejected as error:
            raise Unreadable(error.cause) from error
