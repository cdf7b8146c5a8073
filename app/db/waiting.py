"""Queries on what jobs wait for, which is kept in columns of their rows. None commits."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, ScalarSelect, and_, case, literal_column, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import jobs
from app.db.tables import OUTSTANDING, WAITING, job, task
from app.domain.jobs import JobState
from app.domain.waiting import Waiting

GOES_ON: ColumnElement[bool] = and_(job.c.state == literal_column(f"'{JobState.OPEN}'"), job.c.paused.is_(False))
"""Jobs that are neither completed nor paused: only these may wait for something."""


class OpenJob(NamedTuple):
    """An open job that is not paused. `has_work`: it has open tasks, and its source has not answered all of them
    without data."""

    id: UUID
    message: str
    config_id: str | None
    has_work: bool
    waiting: Waiting | None


async def open_jobs(connection: AsyncConnection, *, only_waiting: bool) -> list[OpenJob]:
    """The open jobs that are not paused; with `only_waiting` those of them that wait for something."""
    statement = select(job, or_(_first(WAITING).is_not(None), _first(OUTSTANDING).is_not(None)).label("has_work"))
    statement = statement.where(GOES_ON)
    if only_waiting:
        statement = statement.where(job.c.waiting_for.is_not(None))
    found = (row._mapping for row in await connection.execute(statement))
    return [
        OpenJob(
            values["id"],
            values["message"],
            values["resolved_config_id"],
            bool(values["has_work"]),
            jobs.waiting_of(values),
        )
        for values in found
    ]


def _first(condition: str) -> ScalarSelect[int]:
    # Not EXISTS: PostgreSQL turns that into a join, and then reads all that waits.
    tasks = select(task.c.position).where(task.c.job_id == job.c.id, text(f"{task.name}.{condition}"))
    return tasks.order_by(task.c.position).limit(1).scalar_subquery()


async def begin(connection: AsyncConnection, job_ids: Sequence[UUID], waiting: Waiting) -> None:
    """Writes what these jobs wait for, unless they were paused or ended meanwhile. A job that waits for the same
    already keeps its `since`."""
    same = and_(job.c.waiting_for == waiting.for_, job.c.waiting_name == waiting.name)
    values = {
        "waiting_for": waiting.for_,
        "waiting_name": waiting.name,
        "waiting_since": case((same, job.c.waiting_since), else_=waiting.since),
        "waiting_reason": waiting.reason,
        "waiting_until": waiting.next_try,
    }
    await connection.execute(update(job).where(job.c.id.in_(_locked(job_ids)), GOES_ON).values(**values))


async def end(connection: AsyncConnection, job_ids: Sequence[UUID]) -> None:
    """Notes that these jobs no longer wait for anything."""
    await connection.execute(update(job).where(job.c.id.in_(_locked(job_ids))).values(waiting_for=None))


def _locked(job_ids: Sequence[UUID]) -> ScalarSelect[UUID]:
    """Locks the jobs in the order of their ids, as all callers do: an UPDATE alone locks in an order of its own."""
    return select(job.c.id).where(job.c.id.in_(job_ids)).order_by(job.c.id).with_for_update()  # type: ignore[return-value]
