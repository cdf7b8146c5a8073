"""Reads one object by its version id: its description by the store, and the hash of its content. Streamed."""

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.domain.artifacts import StoredArtifact
from app.domain.errors import Unavailable
from app.objectstore import ObjectStore, ObjectStoreError, ObjectVersion
from app.verify.read_rate import ReadRate

LARGE = 64 * 1024
"""Bytes from which a piece is hashed in a thread; smaller ones cost less than the way there."""

PAUSES = (0.5, 2.0)
"""Seconds before each further try, where the store did not answer well."""


@dataclass(frozen=True, slots=True)
class SchemaProblem:
    """A damaged schema file that objects name; `found` describes it."""

    bucket: str
    key: str
    version_id: str
    found: str


@dataclass(frozen=True, slots=True)
class ReadVersion:
    """`size` and `sha256` are those of the bytes received; `schema_problem` is the fault of its schema file."""

    version: ObjectVersion
    size: int
    sha256: str
    schema_problem: SchemaProblem | None = None


@dataclass(frozen=True, slots=True)
class UnreadableVersion:
    """The store is available, and does not give this object."""

    reason: str


class Reader:
    """`read` is called for every piece: it counts the bytes and limits their rate."""

    def __init__(
        self,
        objects: ObjectStore,
        pace: ReadRate,
        count: Callable[[int], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._objects = objects
        self._pace = pace
        self._count = count
        self._sleep = sleep
        self._schemas: dict[tuple[str, str, str], asyncio.Task[SchemaProblem | None]] = {}

    async def look(self, stored: StoredArtifact) -> ReadVersion | UnreadableVersion | None:
        """None where the version is gone. Raises Unavailable where the whole store is away."""
        for pause in (*PAUSES, None):
            try:
                return await self._read(stored)
            except ObjectStoreError as error:
                return UnreadableVersion(str(error))
            except Unavailable as error:
                if pause is None:
                    await self._objects.check([stored.bucket])
                    return UnreadableVersion(error.reason)
                await self._sleep(pause)
        raise AssertionError("unreachable")

    async def _read(self, stored: StoredArtifact) -> ReadVersion | None:
        version = await self._objects.head(stored.bucket, stored.key, stored.version_id)
        if version is None:
            return None
        try:
            size, sha256 = await self._digest(stored.bucket, stored.key, stored.version_id)
        except FileNotFoundError:
            return None
        return ReadVersion(version, size, sha256, await self._schema_problem(version))

    async def _schema_problem(self, version: ObjectVersion) -> SchemaProblem | None:
        """The fault of the schema file that an object names; each file is read once, however many objects wait for
        it."""
        metadata = version.user_metadata
        key, version_id = metadata.get("schema-file-key"), metadata.get("schema-file-version-id")
        if key is None or version_id is None:
            return None  # `compare` says so
        place = (version.bucket, key, version_id)
        look = self._schemas.get(place)
        if look is None:
            look = self._schemas[place] = asyncio.create_task(self._look_at_schema(*place))
            look.add_done_callback(lambda done: self._looked(place, done))
        return await asyncio.shield(look)

    def _looked(self, place: tuple[str, str, str], look: asyncio.Task[SchemaProblem | None]) -> None:
        """Removes a failed look-up before the callers that wait for it go on: the next caller looks up again."""
        if look.cancelled() or look.exception() is not None:
            del self._schemas[place]

    async def _look_at_schema(self, bucket: str, key: str, version_id: str) -> SchemaProblem | None:
        nothing = SchemaProblem(bucket, key, version_id, "nothing")
        found = await self._objects.head(bucket, key, version_id)
        if found is None:
            return nothing
        try:
            _, sha256 = await self._digest(bucket, key, version_id)
        except FileNotFoundError:
            return nothing
        expected = found.user_metadata.get("hash")
        if sha256 == expected:
            return None
        return SchemaProblem(bucket, key, version_id, f"sha256 {sha256}, not {expected}")

    async def _digest(self, bucket: str, key: str, version_id: str) -> tuple[int, str]:
        """Bytes and hex SHA-256 of a version. Raises FileNotFoundError where it is gone."""
        digest, size = hashlib.sha256(), 0
        async with contextlib.aclosing(self._objects.read(bucket, key, version_id)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                if len(piece) < LARGE:
                    digest.update(piece)
                else:
                    await asyncio.to_thread(digest.update, piece)
                size += len(piece)
                self._count(len(piece))
                await self._pace.take(len(piece))
        return size, digest.hexdigest()
