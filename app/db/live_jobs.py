"""The end of live jobs: their day is over and no task is open. No query commits."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.tables import job
from app.domain.jobs import JobKind, JobState


async def complete(connection: AsyncConnection, now: datetime) -> list[UUID]:
    """Completes the live jobs whose day is over and that have no open task; returns their ids."""
    over = (
        select(job.c.id)
        .where(job.c.state == JobState.OPEN, job.c.kind == JobKind.LIVE, job.c.open == 0, job.c.takes_until <= now)
        .order_by(job.c.id)
        .with_for_update()
    )
    ended = update(job).where(job.c.id.in_(over)).returning(job.c.id)
    values = {"state": JobState.COMPLETED, "completed": now, "paused": False, "waiting_for": None}
    return list((await connection.execute(ended.values(**values))).scalars())
