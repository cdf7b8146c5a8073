"""What sources could get by the minute: read from the pacers of this process beside the work, so that no request costs
more."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from app.catalog.archive_types import Catalog
from app.catalog.live import LiveCatalog
from app.db import source_minutes
from app.db.database import Database
from app.db.source_minutes import Sample
from app.domain.errors import Unavailable
from app.domain.minutes import DAY, Allowance, SourceCourse, minute_of, span_of
from app.sources.pacing import SourcePacers, source_key

EVERY = 10.0
"""Seconds between two looks at the pacers."""

THIN_EVERY = 360
"""Looks after which old rows are thinned out: an hour."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class SourceLimits:
    """`run` writes rows of this process; `of` reads those of all."""

    database: Database
    catalog: LiveCatalog
    pacers: SourcePacers
    process: UUID
    _minute: int = -1
    _seen: dict[str, Sample] = field(default_factory=dict)
    """Of this minute, by source."""
    _written: dict[str, Sample] = field(default_factory=dict)

    async def of(self, days: int, now: datetime) -> list[SourceCourse]:
        """Each source that is configured, in the order of the configurations. Raises Unavailable."""
        last = minute_of(now)
        async with self.database.reading(brief=True) as connection:
            first = await source_minutes.first(connection, last - days * DAY + 1)
            if first is None:
                return []
            span = span_of(first, last)
            rows = await source_minutes.of(connection, span)
        known = {(source, at): (limit, busy) for source, at, limit, busy in rows}
        found = []
        for source, name in names_of(self.catalog.now).items():
            parts = []
            for at, minute in enumerate(span.minutes):
                limit, busy = known.get((source, at), (None, 0))
                parts.append(Allowance(minute, limit, busy))
            if any(part.limit is not None for part in parts):
                found.append(SourceCourse(name, span.step, tuple(parts)))
        return found

    async def run(self) -> None:
        """Runs until it is cancelled; during an outage of the database nothing is written."""
        turn = 0
        while True:
            try:
                await self.look(datetime.now(UTC), thin=turn % THIN_EVERY == 0)
                turn += 1
            except Unavailable as outage:
                log.debug("the limits of sources are written later: %s", outage)
            await asyncio.sleep(EVERY)

    async def end(self) -> None:
        """The last look of this process. Raises Unavailable."""
        await self.look(datetime.now(UTC), thin=False)

    async def look(self, now: datetime, *, thin: bool) -> None:
        """Writes what is new of this minute. Raises Unavailable."""
        samples = self._samples(minute_of(now))
        if samples:
            await self.database.run(lambda c: source_minutes.write(c, self.process, self._minute, samples))
            self._written.update((each.source, each) for each in samples)
        if thin:
            await self.database.run(lambda c: source_minutes.thin(c, now))

    def _samples(self, minute: int) -> Sequence[Sample]:
        """Those that differ from what was written of this minute."""
        if minute != self._minute:
            self._minute = minute
            self._seen, self._written = {}, {}
        for source, pacer in self.pacers.asked.items():
            sample = Sample(source, pacer.congestion.take_least(), pacer.in_flight)
            before = self._seen.get(source, sample)
            least, most = min(before.allowed, sample.allowed), max(before.in_flight, sample.in_flight)
            self._seen[source] = Sample(source, least, most)
        return [each for source, each in sorted(self._seen.items()) if self._written.get(source) != each]


def names_of(catalog: Catalog) -> dict[str, str]:
    """The archive types of each source, by its address."""
    found: dict[str, list[str]] = {}
    for each in catalog.configurations:
        if each.is_remote_data:
            found.setdefault(source_key(each.uri or ""), []).append(catalog.name_of(each))
    return {source: ", ".join(names) for source, names in found.items()}
