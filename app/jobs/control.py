"""Jobs as people see and steer them: look, list, pause, resume, cancel, set off again what stays open."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import jobs
from app.db.database import Database
from app.domain.jobs import Job, JobState
from app.telemetry import metrics, traces

log = logging.getLogger(__name__)


class UnknownJob(Exception):
    """There is no job of this id."""


class ImpossibleForJob(Exception):
    """What was asked for cannot be done to a job in this state; `reason` ends a sentence that begins with it."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the job {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job with what follows from its counters. `rate` is in references per second, pauses left out."""

    job: Job
    without_data: int
    without_data_at: datetime | None
    rate: float | None
    estimated_end: datetime | None


class JobControl:
    """Everything raises Unavailable, and what is asked of one job UnknownJob.

    `on_due` is called where commands have become due.
    """

    def __init__(self, database: Database, on_due: Callable[[], None]) -> None:
        self._database = database
        self._on_due = on_due

    async def view(self, job_id: UUID) -> JobStatus:
        async with self._database.reading() as connection:
            return await _view_of(connection, job_id)

    async def page(
        self, before: tuple[datetime, UUID] | None, limit: int, state: JobState | None, message: str | None
    ) -> tuple[list[JobStatus], bool]:
        """Newest first, behind the job that `before` names; and whether there are more."""
        async with self._database.reading() as connection:
            found = await jobs.page(connection, before, limit + 1, state, message)
            without_data = await jobs.count_without_data(connection, [job.id for job in found[:limit]])
        return [_view(job, without_data) for job in found[:limit]], len(found) > limit

    async def redrive(self, job_id: UUID) -> JobStatus:
        """Publishes the commands of all open tasks again, those without data too."""

        async def work(connection: AsyncConnection) -> None:
            await _known(connection, job_id)
            await jobs.redrive(connection, job_id)

        view = await self._steer(job_id, work)
        self._on_due()
        return view

    async def pause(self, job_id: UUID, who: str) -> JobStatus:
        """No further task starts; what is under way ends. Raises ImpossibleForJob."""

        async def work(connection: AsyncConnection) -> None:
            job = await _running(connection, job_id)
            if job.paused:
                raise ImpossibleForJob("is paused already")
            await jobs.pause(connection, job, who, datetime.now(UTC))

        return self._logged(await self._steer(job_id, work), "paused", who)

    async def resume(self, job_id: UUID, who: str) -> JobStatus:
        """Goes on where it was. Raises ImpossibleForJob."""

        async def work(connection: AsyncConnection) -> None:
            job = await _running(connection, job_id)
            if not job.paused:
                raise ImpossibleForJob("is not paused")
            await jobs.resume(connection, job, datetime.now(UTC))

        view = await self._steer(job_id, work)
        self._on_due()
        return self._logged(view, "resumed", who)

    async def cancel(self, job_id: UUID, who: str) -> JobStatus:
        """Fails the open tasks that are not stored; those that are stored are still announced. Raises ImpossibleForJob.

        What is being stored at this moment stays in the object store: it is noted with its task, and not announced.
        """
        message = " ".join(f"cancelled by {who}".split())

        async def work(connection: AsyncConnection) -> None:
            context = traces.parse((await _known(connection, job_id)).traceparent)
            trace_id = context.trace_id if context else None
            if await jobs.cancel(connection, job_id, message, trace_id, datetime.now(UTC)) is None:
                raise ImpossibleForJob("has ended")

        view = await self._steer(job_id, work)
        self._on_due()
        if view.job.result is not None:
            metrics.JOBS_COMPLETED.labels(view.job.result).inc()
        return self._logged(view, "cancelled", who)

    async def _steer(self, job_id: UUID, work: Callable[[AsyncConnection], Awaitable[None]]) -> JobStatus:
        await self._database.run(work)
        return await self.view(job_id)  # counting may take long, and here it holds nobody up

    def _logged(self, view: JobStatus, what: str, who: str) -> JobStatus:
        job = view.job
        text = "job %s by %s: %d open, %d succeeded, %d failed"
        log.info(text, what, who, job.open, job.succeeded, job.failed, extra={"job_id": str(job.id)})
        return view


async def _known(connection: AsyncConnection, job_id: UUID, *, lock: bool = False) -> Job:
    job = await jobs.find(connection, job_id, lock=lock)
    if job is None:
        raise UnknownJob
    return job


async def _running(connection: AsyncConnection, job_id: UUID) -> Job:
    """The job, whose row is held. Raises UnknownJob, ImpossibleForJob."""
    job = await _known(connection, job_id, lock=True)
    if job.state is JobState.COMPLETED:
        raise ImpossibleForJob("has ended")
    return job


async def _view_of(connection: AsyncConnection, job_id: UUID) -> JobStatus:
    job = await _known(connection, job_id)
    return _view(job, await jobs.count_without_data(connection, [job_id]))


def _view(job: Job, without_data: Mapping[UUID, tuple[int, datetime | None]]) -> JobStatus:
    count, last = without_data.get(job.id, (0, None))
    rate = _rate(job)
    return JobStatus(job, count, last, rate, _estimated_end(job, job.open - count, rate))


def _rate(job: Job) -> float | None:
    done = job.succeeded + job.failed - job.cancelled
    if not done or job.last_settled is None:
        return None
    seconds = (job.last_settled - job.started).total_seconds() - job.paused_seconds
    return round(done / max(seconds, 0.001), 3)


def _estimated_end(job: Job, to_do: int, rate: float | None) -> datetime | None:
    """None where nothing can be said: not begun, completed, paused, or only tasks without data are left."""
    if job.state is not JobState.OPEN or job.paused or not rate or to_do <= 0:
        return None
    return datetime.now(UTC) + timedelta(seconds=to_do / rate)
