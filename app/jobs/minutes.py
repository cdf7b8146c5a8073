"""The course of jobs, and of live archiving, by the minute: counters are read beside the work, and no outcome costs
more."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

from app.db import live_minutes, minutes
from app.db.database import Database
from app.db.live_minutes import TypeName
from app.domain.errors import Unavailable
from app.domain.minutes import DAY, Course, Part, course_in, course_of, minute_of, span_of

EVERY = 10.0
"""Seconds between two readings: what ends within this time after a full minute may count in the next one."""

THIN_EVERY = 360
"""Readings after which old ones are thinned out: an hour."""

log = logging.getLogger(__name__)


class JobMinutes:
    """`run` reads the counters of jobs of which something ended; several processes write the same."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, job_id: UUID) -> Course:
        """Raises Unavailable."""
        async with self._database.reading(brief=True) as connection:
            return course_of(await minutes.of(connection, job_id))

    async def live(self, days: int, now: datetime) -> Mapping[TypeName, Course]:
        """What was archived live in these days, by archive type; all over the same time. Raises Unavailable."""
        last = minute_of(now)
        async with self._database.reading(brief=True) as connection:
            first = await live_minutes.first(connection, last - days * DAY + 1, now)
            if first is None:
                return {}
            span = span_of(first, last)
            ended = await live_minutes.ended(connection, span.begin, span.step, now)
        found: dict[TypeName, list[Part]] = {}
        for name, part in ended:
            found.setdefault(name, []).append(part)
        return {name: course_in(span, parts) for name, parts in found.items()}

    async def run(self) -> None:
        """Runs until it is cancelled; what ends during an outage of the database counts after it."""
        turn = 0
        while True:
            try:
                await self.read(datetime.now(UTC), thin=turn % THIN_EVERY == 0)
                turn += 1
            except Unavailable as outage:
                log.debug("the counters of jobs are read later: %s", outage)
            await asyncio.sleep(EVERY)

    async def end(self) -> None:
        """The last reading of this process. Raises Unavailable."""
        await self.read(datetime.now(UTC), thin=False)

    async def read(self, now: datetime, *, thin: bool) -> None:
        """Writes only where something has ended. Raises Unavailable."""
        async with self._database.reading(brief=True) as connection:
            busy = await minutes.busy(connection, now)
        if busy:
            await self._database.run(lambda c: minutes.read(c, busy, now))
        if thin:
            await self._database.run(lambda c: minutes.thin(c, now))
