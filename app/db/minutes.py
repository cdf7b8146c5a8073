"""The counters of jobs at the end of each minute in which something of them ended. No query commits.

Each reading is kept for a day; of older ones the last of each hour.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import dialect
from app.db.progress import SLOT
from app.db.tables import job, job_minute, job_progress
from app.domain.minutes import DAY, Reading, minute_of

LATELY = 30
"""Seconds within which a task must have ended for its job to be read: longer than a pause between two readings."""


async def busy(connection: AsyncConnection, now: datetime) -> list[UUID]:
    """The jobs of which something ended lately; they are few, and the slots of the last minute are a small table."""
    slot = job_progress.c.slot
    lately = select(job_progress.c.job_id).where(slot >= int((now.timestamp() - LATELY) // SLOT)).distinct()
    return sorted((await connection.execute(lately)).scalars())


async def read(connection: AsyncConnection, job_ids: Sequence[UUID], now: datetime) -> None:
    """Writes the present counters of these jobs as those of this minute. Locks no row of a job."""
    minute = minute_of(now)
    counters = select(job.c.id, job.c.succeeded, job.c.failed).where(job.c.id.in_(job_ids)).order_by(job.c.id)
    found = (await connection.execute(counters)).all()
    if not found:
        return
    rows = [{"job_id": id_, "minute": minute, "succeeded": ok, "failed": bad} for id_, ok, bad in found]
    statement = dialect.insert(connection, job_minute).values(rows)
    changed = {"succeeded": statement.excluded.succeeded, "failed": statement.excluded.failed}
    await connection.execute(statement.on_conflict_do_update(index_elements=["job_id", "minute"], set_=changed))


async def thin(connection: AsyncConnection, now: datetime) -> int:
    """Of what is older than a day only the last reading of each hour stays; returns how many went."""
    later = job_minute.alias("later")
    same_hour = later.c.minute // 60 == job_minute.c.minute // 60
    followed = exists().where(later.c.job_id == job_minute.c.job_id, same_hour, later.c.minute > job_minute.c.minute)
    old = job_minute.c.minute < minute_of(now) - DAY
    return (await connection.execute(delete(job_minute).where(old, followed))).rowcount


async def of(connection: AsyncConnection, job_id: UUID) -> list[Reading]:
    columns = select(job_minute.c.minute, job_minute.c.succeeded, job_minute.c.failed)
    rows = await connection.execute(columns.where(job_minute.c.job_id == job_id).order_by(job_minute.c.minute))
    return [Reading(*row) for row in rows]
