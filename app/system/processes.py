"""The row of this process in the table that lists all processes."""

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

from app.db import processes
from app.db.database import Database
from app.domain.errors import Unavailable
from app.domain.system import KnownProcess

EVERY = 20.0
"""Seconds between two writes of the row; a process is listed for a minute after its last write."""

AGAIN = 5.0
"""Seconds until the next try after an outage of the database."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Presence:
    """This process in the list of all processes. `run` keeps its row fresh, `end` deletes the row."""

    database: Database
    release: str
    id: UUID = field(default_factory=uuid4)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    _written: bool = False
    _ended: bool = False

    def seen_now(self) -> KnownProcess:
        return KnownProcess(self.id, self.started_at, datetime.now(UTC), self.release)

    async def run(self) -> None:
        """Runs until it is cancelled; an outage of the database only delays the row."""
        while True:
            try:
                await self.write()
                pause = EVERY
            except Unavailable as outage:
                log.debug("the row of this process is written later: %s", outage)
                pause = AGAIN
            await asyncio.sleep(pause)

    async def write(self) -> None:
        """Writes the row, and deletes old rows of killed processes. Raises Unavailable."""
        if self._ended:
            return
        self._written = True
        await self.database.run(lambda c: processes.write(c, self.seen_now()))

    async def end(self) -> None:
        """Deletes the row, so that the process is no longer listed. Raises Unavailable."""
        self._ended = True
        if self._written:
            await self.database.run(lambda c: processes.remove(c, self.id))
