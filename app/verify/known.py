"""Every version that the database names, as digests in a temporary file: a bucket may hold more than fits in memory."""

import asyncio
import hashlib
import sqlite3
from collections.abc import AsyncIterator, Iterable, Sequence
from types import TracebackType

from app.db.verify import DamagedTask, StoredTask
from app.objectstore import ListedVersion

BATCH = 5_000


class KnownVersions:
    """A set on disk, which SQLite removes when it is closed. Used by one task at a time."""

    def __init__(self) -> None:
        # No name: a private file in the directory for temporary files, already unlinked.
        self._file = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._file.execute("PRAGMA synchronous=OFF")
        self._file.execute("CREATE TABLE known (digest BLOB PRIMARY KEY) WITHOUT ROWID")
        self.buckets: set[str] = set()

    def __enter__(self) -> "KnownVersions":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    async def fill(self, tasks: AsyncIterator[StoredTask | DamagedTask], stop: asyncio.Event) -> None:
        batch: list[bytes] = []
        async for task in tasks:
            if isinstance(task, DamagedTask):
                continue
            stored = task.stored
            self.buckets.add(stored.bucket)
            batch.append(_digest(stored.bucket, stored.key, stored.version_id))
            if len(batch) == BATCH:
                await asyncio.to_thread(self._add, batch)
                batch = []
                if stop.is_set():
                    return
        await asyncio.to_thread(self._add, batch)

    async def without(self, versions: Sequence[ListedVersion]) -> list[ListedVersion]:
        """The given versions that are not known."""
        return await asyncio.to_thread(self._without, versions)

    def _add(self, digests: Iterable[bytes]) -> None:
        self._file.execute("BEGIN")
        self._file.executemany("INSERT OR IGNORE INTO known VALUES (?)", ((digest,) for digest in digests))
        self._file.execute("COMMIT")

    def _without(self, versions: Sequence[ListedVersion]) -> list[ListedVersion]:
        ask = "SELECT 1 FROM known WHERE digest = ?"
        return [
            found
            for found in versions
            if self._file.execute(ask, (_digest(found.bucket, found.key, found.version_id),)).fetchone() is None
        ]


def _digest(*place: str) -> bytes:
    return hashlib.blake2b("\0".join(place).encode(), digest_size=16).digest()
