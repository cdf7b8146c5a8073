"""The row of this process, by which all processes know each other."""

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

from app.db import processes
from app.db.database import Database
from app.domain.errors import Unavailable
from app.domain.system import ProcessSeen

EVERY = 20.0
"""Seconds between two writes of the row: a process is shown for a minute after the last."""

AGAIN = 5.0
"""Seconds until the next try when the database was away."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Presence:
    """This process among all. Its row is written while `run` runs, and removed by `end`."""

    database: Database
    release: str
    id: UUID = field(default_factory=uuid4)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    _written: bool = False
    _ended: bool = False

    def seen_now(self) -> ProcessSeen:
        return ProcessSeen(self.id, self.started_at, datetime.now(UTC), self.release)

    async def run(self) -> None:
        """Runs until it is cancelled; an outage of the database only delays the row."""
        while True:
            try:
                await self.write()
                pause = EVERY
            except Unavailable as away:
                log.debug("the row of this process is written later: %s", away)
                pause = AGAIN
            await asyncio.sleep(pause)

    async def write(self) -> None:
        """Writes the row, and removes those of processes that were not seen for long. Raises Unavailable."""
        if self._ended:
            return
        self._written = True
        await self.database.run(lambda c: processes.write(c, self.seen_now()))

    async def end(self) -> None:
        """Removes the row: others need not wait until it is not seen. Raises Unavailable."""
        self._ended = True
        if self._written:
            await self.database.run(lambda c: processes.remove(c, self.id))
