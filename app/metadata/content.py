"""Reads the content of a stored artifact, and checks it against its hash while it streams."""

import hashlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

from app.domain.search import FoundArtifact
from app.objectstore import ObjectStore

log = logging.getLogger(__name__)


class Gone(Exception):
    """The object is no longer in the store."""


class AlteredContent(Exception):
    """The stored content differs from the content that was archived; a reader must not take it for complete."""


@dataclass(frozen=True, slots=True)
class Content:
    """Content whose first bytes have arrived: the object exists and the store answers.

    `verified` gives the content. It raises Altered before the last piece when the hash differs, and Unavailable.
    """

    artifact: FoundArtifact
    first: bytes | None
    rest: AsyncIterator[bytes]

    async def verified(self) -> AsyncIterator[bytes]:
        """Each piece is given when the next one has arrived: the last one only when the hash of all pieces is right."""
        try:
            async for piece in self._checked():
                yield piece
        finally:  # when the reader goes away, so does the connection to the store
            await self.close()

    async def close(self) -> None:
        """Gives the connection to the store back; for content that is not read."""
        close = getattr(self.rest, "aclose", None)
        if close is not None:
            await close()

    async def _checked(self) -> AsyncIterator[bytes]:
        digest, size, held = hashlib.sha256(), 0, b""
        piece = self.first
        while piece is not None and size <= self.artifact.object.size:
            digest.update(piece)
            size += len(piece)
            if held:
                yield held
            held = piece
            piece = await anext(self.rest, None)
        if digest.hexdigest() != self.artifact.object.sha256:
            stored = self.artifact.object
            log.error(
                "artifact %d: the stored object is not what was archived (its SHA-256 differs): %s/%s, version %s",
                self.artifact.id,
                stored.bucket,
                stored.key,
                stored.version_id,
            )
            raise AlteredContent(f"artifact {self.artifact.id}")
        if held:
            yield held


class Contents:
    """The contents of stored artifacts."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    async def open(self, artifact: FoundArtifact) -> Content:
        """Raises Gone, Unavailable."""
        stored = artifact.object
        pieces = self._objects.read(stored.bucket, stored.key, stored.version_id)
        try:
            first = await anext(pieces, None)
        except FileNotFoundError as error:
            raise Gone(f"{stored.bucket}/{stored.key}") from error
        return Content(artifact, first, pieces)
