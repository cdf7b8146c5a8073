"""Jobs as people see and control them: find, list, pause, resume, cancel, redrive."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import job_history, jobs, progress
from app.db.database import Database
from app.db.job_history import JobHistory
from app.domain.audit import Actor
from app.domain.jobs import Action, Job, JobChange, JobFilter, JobState
from app.domain.waiting import Waiting
from app.telemetry import metrics

log = logging.getLogger(__name__)


class UnknownJob(Exception):
    """There is no job with this id."""


class ImpossibleForJob(Exception):
    """A job in this state does not allow the operation; `reason` ends a sentence that begins with the operation."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the job {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job, with figures computed from its counters, what was done to it, and the jobs that retry what failed in it.

    `rate` is in references per second: of the last minute, or of the whole run without its pauses once it is completed.
    """

    job: Job
    without_data: int
    without_data_at: datetime | None
    rate: float | None
    estimated_end: datetime | None
    actions: Sequence[Action] = ()
    retries: Sequence[UUID] = ()


class JobControl:
    """Every method raises Unavailable; a method for one job also raises UnknownJob.

    `on_due` is called when commands have become due. `who` is the name of a caller in messages, `actor` all that the
    audit log says of this caller.
    """

    def __init__(self, database: Database, history: JobHistory, on_due: Callable[[], None]) -> None:
        self._database = database
        self._history = history
        self._on_due = on_due

    async def view(self, job_id: UUID) -> JobStatus:
        async with self._database.reading() as connection:
            return (await _views(connection, [await _known(connection, job_id)]))[0]

    async def page(
        self, before: tuple[datetime, UUID] | None, limit: int, wanted: JobFilter
    ) -> tuple[list[JobStatus], bool]:
        """Wanted jobs, newest first, that follow the job `before` in the list; and whether there are more."""
        async with self._database.reading() as connection:
            found = await jobs.page(connection, before, limit + 1, wanted)
            return await _views(connection, found[:limit]), len(found) > limit

    async def redrive(self, job_id: UUID, who: str, actor: Actor | None = None) -> JobStatus:
        """Publishes the commands of all open tasks again, also of tasks whose source had no data.

        Nothing happens to a job that has ended.
        """

        async def work(connection: AsyncConnection) -> None:
            await _known(connection, job_id)
            await jobs.redrive(connection, job_id)
            if (await _known(connection, job_id, lock=True)).state is JobState.OPEN:
                await self._history.record(connection, job_id, JobChange.REDRIVEN, who, datetime.now(UTC), actor=actor)

        view = await self._steer(job_id, work)
        self._on_due()
        return view

    async def pause(self, job_id: UUID, who: str, actor: Actor | None = None) -> JobStatus:
        """Starts no further task of the job; running tasks end. Raises ImpossibleForJob."""

        async def work(connection: AsyncConnection) -> None:
            job = await _running(connection, job_id)
            if job.paused:
                raise ImpossibleForJob("is paused already")
            now = datetime.now(UTC)
            await jobs.pause(connection, job, who, now)
            await self._history.record(connection, job_id, JobChange.PAUSED, who, now, actor=actor)

        return self._logged(await self._steer(job_id, work), "paused", who)

    async def resume(self, job_id: UUID, who: str, actor: Actor | None = None) -> JobStatus:
        """Continues a paused job where it stopped. Raises ImpossibleForJob."""

        async def work(connection: AsyncConnection) -> None:
            job = await _running(connection, job_id)
            if not job.paused:
                raise ImpossibleForJob("is not paused")
            now = datetime.now(UTC)
            await jobs.resume(connection, job, now)
            await self._history.record(connection, job_id, JobChange.RESUMED, who, now, actor=actor)

        view = await self._steer(job_id, work)
        self._on_due()
        return self._logged(view, "resumed", who)

    async def cancel(self, job_id: UUID, who: str, actor: Actor | None = None) -> JobStatus:
        """Fails the open tasks without a stored object; tasks with a stored object are still announced.

        An object that is being stored at this moment stays in the object store: its place is noted in the task, and it
        is not announced. Raises ImpossibleForJob.
        """
        message = " ".join(f"cancelled by {who}".split())

        async def work(connection: AsyncConnection) -> None:
            await _known(connection, job_id)
            now = datetime.now(UTC)
            if await jobs.cancel(connection, job_id, jobs.Cancel(who, now, message)) is None:
                ended = (await _known(connection, job_id)).state is JobState.COMPLETED
                raise ImpossibleForJob("has ended" if ended else "is cancelled already")
            await self._history.record(connection, job_id, JobChange.CANCELLED, who, now, actor=actor)
            if (await _known(connection, job_id)).state is JobState.COMPLETED:
                await self._history.record(connection, job_id, JobChange.COMPLETED, None, now)

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
    """The job; the caller's transaction has locked its row. Raises UnknownJob, ImpossibleForJob."""
    job = await _known(connection, job_id, lock=True)
    if job.state is JobState.COMPLETED:
        raise ImpossibleForJob("has ended")
    return job


async def _views(connection: AsyncConnection, found: Sequence[Job]) -> list[JobStatus]:
    """The jobs as people see them, in the same order."""
    now, ids = datetime.now(UTC), [job.id for job in found]
    without_data = await jobs.count_without_data(connection, ids)
    actions = await job_history.actions(connection, ids)
    retries = await job_history.retries(connection, ids)
    running = [job.id for job in found if job.state is JobState.OPEN]
    lately = await progress.of_last_minute(connection, running, now)
    views = []
    for job in found:
        count, last = without_data.get(job.id, (0, None))
        shown = replace(job, waiting=_waiting(job, now))
        rate = _rate(job, lately.get(job.id, 0.0), now)
        end = _estimated_end(shown, job.open - count, rate, now)
        views.append(JobStatus(shown, count, last, rate, end, actions.get(job.id, ()), retries.get(job.id, ())))
    return views


def _waiting(job: Job, now: datetime) -> Waiting | None:
    """A try that is past is not the next one: the row is renewed a little later."""
    found = job.waiting
    if found is None or job.state is JobState.COMPLETED or job.paused:  # an older release ends and pauses jobs as is
        return None
    return replace(found, next_try=None) if found.next_try is not None and found.next_try <= now else found


def _rate(job: Job, lately: float, now: datetime) -> float | None:
    """None where nothing was done yet; 0 where nothing was done in the last minute."""
    done = job.succeeded + job.failed - job.cancelled
    if not done or job.last_settled is None:
        return None
    if job.state is JobState.OPEN:
        seconds = min((now - job.started).total_seconds(), progress.MINUTE)
        return round(lately / max(seconds, 0.001), 3)
    seconds = (job.last_settled - job.started).total_seconds() - job.paused_seconds
    return round(done / max(seconds, 0.001), 3)


def _estimated_end(job: Job, to_do: int, rate: float | None, now: datetime) -> datetime | None:
    """None when there is no estimate: nothing was done in the last minute; the job waits, is completed or paused, or
    has only tasks without data left."""
    if job.state is not JobState.OPEN or job.paused or job.waiting is not None or not rate or to_do <= 0:
        return None
    return now + timedelta(seconds=to_do / rate)
