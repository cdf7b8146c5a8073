"""Keeps in the row of each job what it waits for: compares rows and known outages about once a second."""

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
from app.jobs.known_outages import KnownOutage, KnownOutages
from app.telemetry import metrics

LOOK = 1.0
"""Seconds between two updates."""

SHARE = 10
"""A pause is at least so many times as long as the update before it: there may be very many open jobs."""

RENEW = 3.0
"""Seconds for which a row stays as it is while only the reason or the time of the next try has changed."""

SAME_TRY = timedelta(seconds=1)
"""Two times of a next try that are closer together count as the same one."""

FORGET = 60.0
"""Seconds between two deletions of old slots of `db.progress`."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _KnownRow:
    """What a job waited for when its row was last read. Times are seconds of the monotonic clock."""

    waiting: Waiting
    since: float
    """When this process first read of this outage in the row."""
    changed: float
    """When reason or next try last changed."""


class WaitingJobs:
    """All processes share what a job waits for. The process that learns of an outage writes it; the first process whose
    calls succeed clears it, also a process that has never seen the outage.

    A process writes to a job only what it has learnt since its last write to that job. So a process that cannot reach
    a source does not keep overwriting what a process writes that can.
    """

    def __init__(self, database: Database, readiness: Readiness, outages: KnownOutages) -> None:
        self._database = database
        self._readiness = readiness
        self._outages = outages
        self._seen: dict[UUID, _KnownRow] = {}
        self._written: dict[UUID, float] = {}
        self._first = True
        self._forget_at = 0.0
        self._named: set[tuple[str, str]] = set()

    async def run(self) -> None:
        """Updates the rows until it is cancelled."""
        while True:
            began = monotonic()
            try:
                await self.update()
                await self._forget()
            except Unavailable as outage:
                log.debug("what jobs wait for is written later: %s", outage)
            await asyncio.sleep(max(LOOK, (monotonic() - began) * SHARE))

    async def update(self) -> None:
        """Writes new outages to the rows, and clears those that are over. Raises Unavailable."""
        self._outages.refresh()
        self._name_sources()
        async with self._database.reading(brief=True) as connection:
            found = await waiting.open_jobs(connection, only_waiting=not self._outages.any)
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
        """Jobs that begin to wait, or whose reason has changed, by what they wait for; and jobs that no longer wait."""
        begin: dict[Waiting, list[UUID]] = defaultdict(list)
        end: list[UUID] = []
        for job in found:
            outage = self._outages.of_job(job.message, job.config_id) if job.has_work else None
            if outage is None:
                if job.waiting is not None and self._is_over(job, job.waiting):
                    end.append(job.id)
            elif self._is_news(job, outage, now):
                begin[outage.waiting].append(job.id)
                self._written[job.id] = now
                self._seen[job.id] = _KnownRow(_as_written(job.waiting, outage.waiting), now, now)
        return begin, end

    def _is_over(self, job: OpenJob, known: Waiting) -> bool:
        since = self._seen[job.id].since
        return not job.has_work or self._outages.has_got_through(job.message, job.config_id, known, since)

    def _is_news(self, job: OpenJob, outage: KnownOutage, now: float) -> bool:
        if outage.failed_at <= self._written.get(job.id, float("-inf")):
            return False
        known, new = job.waiting, outage.waiting
        if known is None or (known.for_, known.name) != (new.for_, new.name):
            return True
        is_same = known.reason == new.reason and _is_same_try(known.next_try, new.next_try)
        return not is_same and now - self._seen[job.id].changed >= RENEW

    def _remember(self, found: Sequence[OpenJob], now: float) -> None:
        """Outages that rows have at the first update count from before the start: a call may have succeeded since
        then."""
        seen: dict[UUID, _KnownRow] = {}
        for job in found:
            if job.waiting is None:
                continue
            before = self._seen.get(job.id)
            if before is None or _outage(before.waiting) != _outage(job.waiting):
                first = float("-inf") if self._first else now
                seen[job.id] = _KnownRow(job.waiting, first, first)
            else:
                changed = before.changed if before.waiting == job.waiting else now
                seen[job.id] = _KnownRow(job.waiting, before.since, changed)
        self._seen, self._first = seen, False
        there = {job.id for job in found}
        self._written = {job_id: at for job_id, at in self._written.items() if job_id in there}

    def _name_sources(self) -> None:
        unavailable = {
            (name, each.client or ""): each.reason
            for each in self._outages.sources
            for name in self._outages.names(each)
        }
        self._readiness.sources_away = {name: reason for (name, _), reason in unavailable.items()}
        self._named |= unavailable.keys()
        for name, client in self._named:
            metrics.SOURCE_UNAVAILABLE.labels(name, client).set((name, client) in unavailable)

    def _count(self, found: Sequence[OpenJob], begin: dict[Waiting, list[UUID]], end: Sequence[UUID]) -> None:
        waits = {job.id: job.waiting.for_ for job in found if job.waiting is not None}
        waits |= {job_id: news.for_ for news, job_ids in begin.items() for job_id in job_ids}
        ended = set(end)
        counts = Counter(for_ for job_id, for_ in waits.items() if job_id not in ended)
        for for_ in WaitingFor:
            metrics.JOBS_WAITING.labels(for_).set(counts[for_])

    async def _forget(self) -> None:
        if monotonic() >= self._forget_at:
            self._forget_at = monotonic() + FORGET
            await self._database.run(lambda c: progress.forget(c, datetime.now(UTC)))


def _as_written(known: Waiting | None, new: Waiting) -> Waiting:
    """What the row will have: the same outage keeps its `since` (`db.waiting.begin`)."""
    if known is None or (known.for_, known.name) != (new.for_, new.name):
        return new
    return replace(new, since=known.since)


def _outage(waiting: Waiting) -> tuple[object, ...]:
    return waiting.for_, waiting.name, waiting.since


def _is_same_try(one: datetime | None, other: datetime | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) < SAME_TRY
