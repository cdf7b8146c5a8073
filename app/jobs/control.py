"""Looks at a job while it runs, and sets off again what stays open."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from app.db import jobs
from app.db.database import Database
from app.domain.jobs import Job, JobState


@dataclass(frozen=True, slots=True)
class JobView:
    """A job with what follows from its counters. `rate` is in references per second since the job started."""

    job: Job
    without_data: int
    without_data_at: datetime | None
    rate: float | None
    estimated_end: datetime | None


async def view(database: Database, job_id: UUID) -> JobView | None:
    """None for an unknown job. Raises Unavailable."""
    async with database.reading() as connection:
        job = await jobs.find(connection, job_id)
        if job is None:
            return None
        without_data, last = await jobs.count_without_data(connection, job_id)
    rate = _rate(job)
    return JobView(job, without_data, last, rate, _estimated_end(job, job.open - without_data, rate))


async def redrive(database: Database, job_id: UUID, on_due: Callable[[], None]) -> int | None:
    """Publishes the commands of all open tasks again, those without data too; how many, None for an unknown job."""
    if await _is_unknown(database, job_id):
        return None
    count = await database.run(lambda c: jobs.redrive(c, job_id))
    on_due()
    return count


async def _is_unknown(database: Database, job_id: UUID) -> bool:
    async with database.reading() as connection:
        return await jobs.find(connection, job_id) is None


def _rate(job: Job) -> float | None:
    done = job.succeeded + job.failed
    if not done or job.last_settled is None:
        return None
    seconds = (job.last_settled - job.started).total_seconds()
    return round(done / max(seconds, 0.001), 3)


def _estimated_end(job: Job, to_do: int, rate: float | None) -> datetime | None:
    """None where nothing can be said: not begun, completed, paused, or only tasks without data are left."""
    if job.state is not JobState.OPEN or job.paused or not rate or to_do <= 0:
        return None
    return datetime.now(UTC) + timedelta(seconds=to_do / rate)
