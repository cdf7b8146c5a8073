"""Adds the dead letters of this process to the counts in the database, once the broker has acknowledged them."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime

from app.db import dead_letters
from app.db.database import Database
from app.domain.errors import Unavailable
from app.domain.system import DeadLetters

AGAIN = 5.0
"""Seconds until the next try after an outage of the database."""

log = logging.getLogger(__name__)


class DeadLetterCounts:
    """Counts dead letters in memory, and adds the counts to the database in the background: no dead letter waits for
    the database.

    When a process is killed, counts that it had not written are lost; the records themselves are in the topic.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._noted: dict[str, DeadLetters] = {}
        self._woken = asyncio.Event()

    def note(self, topic: str) -> None:
        """Counts a record that was sent to this dead letter topic."""
        self._add({topic: DeadLetters(1, datetime.now(UTC))})
        self._woken.set()

    async def run(self) -> None:
        """Runs until it is cancelled; an outage of the database only delays the counts."""
        while True:
            await self._woken.wait()
            try:
                await self.write()
            except Unavailable as outage:
                log.debug("dead letters are counted later: %s", outage)
                await asyncio.sleep(AGAIN)

    async def write(self) -> None:
        """Adds the counts to the database. Raises Unavailable; then they stay in memory."""
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
        """Writes the last counts. Raises Unavailable."""
        await self.write()

    def _add(self, more: Mapping[str, DeadLetters]) -> None:
        for topic, each in more.items():
            known = self._noted.get(topic)
            if known is None or known.last_at is None or each.last_at is None:
                self._noted[topic] = each
            else:
                self._noted[topic] = DeadLetters(known.count + each.count, max(known.last_at, each.last_at))
