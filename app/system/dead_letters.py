"""Counts the dead letters of all processes in the database, after they were acknowledged."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime

from app.db import dead_letters
from app.db.database import Database
from app.domain.errors import Unavailable
from app.domain.system import DeadLetters

AGAIN = 5.0
"""Seconds until the next try when the database was away."""

log = logging.getLogger(__name__)


class DeadLetterCounts:
    """Notes dead letters in memory and adds them to the counts of the database: no dead letter waits for it.

    What was noted and not yet written when a process is killed is not counted; the records themselves are in the topic.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._noted: dict[str, DeadLetters] = {}
        self._woken = asyncio.Event()

    def note(self, topic: str) -> None:
        """A record was put into this dead letter topic."""
        self._add({topic: DeadLetters(1, datetime.now(UTC))})
        self._woken.set()

    async def run(self) -> None:
        """Runs until it is cancelled; an outage of the database only delays the counts."""
        while True:
            await self._woken.wait()
            try:
                await self.write()
            except Unavailable as away:
                log.debug("dead letters are counted later: %s", away)
                await asyncio.sleep(AGAIN)

    async def write(self) -> None:
        """Adds what was noted to the database. Raises Unavailable; then it stays noted."""
        noted, self._noted = self._noted, {}
        self._woken.clear()
        if not noted:
            return
        try:
            await self._database.run(lambda c: dead_letters.add(c, noted))
        except BaseException:  # cancelled too: `end` writes it
            self._add(noted)
            self._woken.set()
            raise

    async def end(self) -> None:
        """Writes what is left. Raises Unavailable."""
        await self.write()

    def _add(self, more: Mapping[str, DeadLetters]) -> None:
        for topic, each in more.items():
            known = self._noted.get(topic)
            if known is None or known.last_at is None or each.last_at is None:
                self._noted[topic] = each
            else:
                self._noted[topic] = DeadLetters(known.count + each.count, max(known.last_at, each.last_at))
