"""Counts of ended tasks for each job and slot of 5 seconds, for the rate of the last minute. No query commits."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Float, Integer, Uuid, bindparam, case, delete, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import dialect, direct
from app.db.tables import job_progress

SLOT = 5
"""Seconds of one slot."""

MINUTE = 60
"""Seconds that a rate covers."""

KEPT = 120
"""Seconds after which a slot is deleted. A slot that is so far in the future was written by a wrong clock."""

DONE = dialect.Rows("done", [("job_id", Uuid), ("done", Integer)])


async def count(connection: AsyncConnection, done: Mapping[UUID, int], now: datetime) -> None:
    """Adds to the present slot the number of tasks (`done`) of each job that ended now.

    The caller holds the locks of these job rows, so no two transactions count for the same job at the same time.
    """
    if done:
        values = DONE.bind(connection, sorted(done.items()))
        await direct.change(connection, _counting(connection.dialect.name), {**values, "slot": _slot(now)})


@lru_cache
def _counting(dialect_name: str) -> Any:
    rows = DONE.clause(dialect_name)
    slot = bindparam("slot", type_=job_progress.c.slot.type)
    # SQLite takes ON CONFLICT for a join unless there is a WHERE before it.
    added = dialect.insert_on(dialect_name, job_progress).from_select(
        ["job_id", "slot", "done"], select(rows.c.job_id, slot, rows.c.done).where(rows.c.done > 0)
    )
    return added.on_conflict_do_update(
        index_elements=[job_progress.c.job_id, job_progress.c.slot],
        set_={"done": job_progress.c.done + added.excluded.done},
    )


async def of_last_minute(connection: AsyncConnection, job_ids: Sequence[UUID], now: datetime) -> dict[UUID, float]:
    """How many tasks of these jobs ended in the last minute; jobs without any are absent.

    The slot in which that minute began counts with the part of it that is in the minute.
    """
    if not job_ids:
        return {}
    begin = (now.timestamp() - MINUTE) / SLOT
    first = int(begin // 1)
    part = first + 1 - begin
    slot, done = job_progress.c.slot, job_progress.c.done
    counted = func.sum(case((slot == first, done * bindparam("part", part, Float)), else_=done * 1.0))
    statement = (
        select(job_progress.c.job_id, counted)
        .where(job_progress.c.job_id.in_(job_ids), slot >= first, slot <= _slot(now) + KEPT // SLOT)
        .group_by(job_progress.c.job_id)
    )
    return {job_id: float(number) for job_id, number in await connection.execute(statement)}


async def forget(connection: AsyncConnection, now: datetime) -> int:
    """Deletes slots that no rate needs any more; returns how many. Leaves out rows that another process is deleting."""
    slot, kept = job_progress.c.slot, KEPT // SLOT
    old = (
        select(job_progress.c.job_id, slot)
        .where(or_(slot < _slot(now) - kept, slot > _slot(now) + kept))
        .with_for_update(skip_locked=True)
    )
    return (await connection.execute(delete(job_progress).where(tuple_(job_progress.c.job_id, slot).in_(old)))).rowcount


def _slot(now: datetime) -> int:
    return int(now.timestamp() // SLOT)
