"""Reads one object by its version id: what the store says of it, and the hash of what it gives. Streamed."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.domain.artifacts import StoredArtifact
from app.domain.errors import Unavailable
from app.objectstore import ObjectStore, ObjectStoreError, ObjectVersion
from app.verify.pace import Pace

LARGE = 64 * 1024
"""Bytes from which a piece is hashed in a thread; smaller ones cost less than the way there."""

PAUSES = (0.5, 2.0)
"""Seconds before each further try, where the store did not answer well."""


@dataclass(frozen=True, slots=True)
class Seen:
    """`size` and `sha256` are those of the bytes that came."""

    version: ObjectVersion
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The store is there, and does not give this object."""

    reason: str


class Reader:
    """`read` is told of every piece: its bytes are counted, and paced."""

    def __init__(
        self,
        objects: ObjectStore,
        pace: Pace,
        count: Callable[[int], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._objects = objects
        self._pace = pace
        self._count = count
        self._sleep = sleep

    async def look(self, stored: StoredArtifact) -> Seen | Unreadable | None:
        """None where the version is gone. Raises Unavailable where the whole store is away."""
        for pause in (*PAUSES, None):
            try:
                return await self._read(stored)
            except ObjectStoreError as error:
                return Unreadable(str(error))
            except Unavailable as error:
                if pause is None:
                    await self._objects.check([stored.bucket])
                    return Unreadable(error.reason)
                await self._sleep(pause)
        raise AssertionError("unreachable")

    async def _read(self, stored: StoredArtifact) -> Seen | None:
        version = await self._objects.head(stored.bucket, stored.key, stored.version_id)
        if version is None:
            return None
        digest, size = hashlib.sha256(), 0
        try:
            async for piece in self._objects.read(stored.bucket, stored.key, stored.version_id):
                if len(piece) < LARGE:
                    digest.update(piece)
                else:
                    await asyncio.to_thread(digest.update, piece)
                size += len(piece)
                self._count(len(piece))
                await self._pace.take(len(piece))
        except FileNotFoundError:
            return None
        return Seen(version, size, digest.hexdigest())
