"""Keeps in the rows of jobs what they wait for: compares them, about once a second, with what this process knows."""

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from uuid import UUID

from app.db import progress, waiting
from app.db.database import Database
from app.db.waiting import OpenJob
from app.domain.errors import Unavailable
from app.domain.readiness import Readiness
from app.domain.waiting import Waiting, WaitingFor
from app.jobs.away import Away, Fact
from app.telemetry import metrics

LOOK = 1.0
"""Seconds between two looks."""

SHARE = 10
"""Pauses are so many times as long as the look before them: there may be very many open jobs."""

RENEW = 3.0
"""Seconds for which a row stays as it is while only the reason or the next try is new."""

SAME_TRY = timedelta(seconds=1)
"""Next tries that are closer together are the same one."""

FORGET = 60.0
"""Seconds between two deletions of the old slots of the last minute's rate."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Seen:
    """What a row said when it was last read; since when it says that a job waits for this, and since when the very
    same. Times are seconds of the monotonic clock."""

    waiting: Waiting
    since: float
    changed: float


class WaitingJobs:
    """What jobs wait for is a fact that all processes share: one that learns it writes it, and the first whose work
    gets through clears it, also one that has never seen the outage.

    A process writes only what it has learnt since it last wrote of the job: so one that cannot reach a source does not
    write against another one that can.
    """

    def __init__(self, database: Database, readiness: Readiness, away: Away) -> None:
        self._database = database
        self._readiness = readiness
        self._away = away
        self._seen: dict[UUID, _Seen] = {}
        self._written: dict[UUID, float] = {}
        self._first = True
        self._forget_at = 0.0
        self._named: set[tuple[str, str]] = set()

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while True:
            began = monotonic()
            try:
                await self.look()
                await self._forget()
            except Unavailable as away:
                log.debug("what jobs wait for is written later: %s", away)
            await asyncio.sleep(max(LOOK, (monotonic() - began) * SHARE))

    async def look(self) -> None:
        """Writes and clears what is new. Raises Unavailable."""
        self._away.look()
        self._name_sources()
        async with self._database.reading(brief=True) as connection:
            found = await waiting.open_jobs(connection, only_waiting=not self._away.anything)
        now = monotonic()
        self._remember(found, now)
        begin, end = self._news(found, now)
        for news, job_ids in begin.items():
            await self._begin(job_ids, news)
        if end:
            await self._database.run(lambda c: waiting.end(c, end))
        self._count(found, begin, end)

    async def _begin(self, job_ids: Sequence[UUID], news: Waiting) -> None:
        await self._database.run(lambda c: waiting.begin(c, job_ids, news))

    def _news(self, found: Sequence[OpenJob], now: float) -> tuple[dict[Waiting, list[UUID]], list[UUID]]:
        """The jobs that begin to wait, or wait for another reason, by what for; and those that wait no more."""
        begin: dict[Waiting, list[UUID]] = defaultdict(list)
        end: list[UUID] = []
        for job in found:
            fact = self._away.fact(job.message, job.config_id) if job.has_work else None
            if fact is None:
                if job.waiting is not None and self._is_over(job, job.waiting):
                    end.append(job.id)
            elif self._is_news(job, fact, now):
                begin[fact.waiting].append(job.id)
                self._written[job.id] = now
                self._seen[job.id] = _Seen(_as_written(job.waiting, fact.waiting), now, now)
        return begin, end

    def _is_over(self, job: OpenJob, known: Waiting) -> bool:
        since = self._seen[job.id].since
        return not job.has_work or self._away.has_got_through(job.message, job.config_id, known, since)

    def _is_news(self, job: OpenJob, fact: Fact, now: float) -> bool:
        if fact.failed_at <= self._written.get(job.id, float("-inf")):
            return False
        known, new = job.waiting, fact.waiting
        if known is None or (known.for_, known.name) != (new.for_, new.name):
            return True
        is_same = known.reason == new.reason and _is_same_try(known.next_try, new.next_try)
        return not is_same and now - self._seen[job.id].changed >= RENEW

    def _remember(self, found: Sequence[OpenJob], now: float) -> None:
        """What was there at the first look counts from the start of the process: it may have got through by then."""
        seen: dict[UUID, _Seen] = {}
        for job in found:
            if job.waiting is None:
                continue
            before = self._seen.get(job.id)
            if before is None or _outage(before.waiting) != _outage(job.waiting):
                first = float("-inf") if self._first else now
                seen[job.id] = _Seen(job.waiting, first, first)
            else:
                changed = before.changed if before.waiting == job.waiting else now
                seen[job.id] = _Seen(job.waiting, before.since, changed)
        self._seen, self._first = seen, False
        there = {job.id for job in found}
        self._written = {job_id: at for job_id, at in self._written.items() if job_id in there}

    def _name_sources(self) -> None:
        away = {(name, each.client or ""): each.reason for each in self._away.sources for name in each.names}
        self._readiness.sources_away = {name: reason for (name, _), reason in away.items()}
        self._named |= away.keys()
        for name, client in self._named:
            metrics.SOURCE_UNAVAILABLE.labels(name, client).set((name, client) in away)

    def _count(self, found: Sequence[OpenJob], begin: dict[Waiting, list[UUID]], end: Sequence[UUID]) -> None:
        waits = {job.id: job.waiting.for_ for job in found if job.waiting is not None}
        waits |= {job_id: news.for_ for news, job_ids in begin.items() for job_id in job_ids}
        counts = Counter(for_ for job_id, for_ in waits.items() if job_id not in set(end))
        for for_ in WaitingFor:
            metrics.JOBS_WAITING.labels(for_).set(counts[for_])

    async def _forget(self) -> None:
        if monotonic() >= self._forget_at:
            self._forget_at = monotonic() + FORGET
            await self._database.run(lambda c: progress.forget(c, datetime.now(UTC)))


def _as_written(known: Waiting | None, new: Waiting) -> Waiting:
    """An outage that a row has already keeps its beginning (`db.waiting.begin`)."""
    if known is None or (known.for_, known.name) != (new.for_, new.name):
        return new
    return replace(new, since=known.since)


def _outage(waiting: Waiting) -> tuple[object, ...]:
    return waiting.for_, waiting.name, waiting.since


def _is_same_try(one: datetime | None, other: datetime | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) < SAME_TRY
