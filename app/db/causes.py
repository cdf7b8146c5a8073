"""Counters of failures by cause; failures that the previous release recorded are counted later. No query commits."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import BigInteger, Integer, Text, Uuid, case, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import dialect, direct
from app.db.tables import UNCOUNTED, UtcDateTime, failure_cause, job, task
from app.domain.causes import cause_id, cause_of


class Count(NamedTuple):
    """Failures of a job with one cause, and when the first and the last of them was."""

    job_id: UUID
    id: int
    cause: str
    failed: int
    first: datetime
    last: datetime


COUNTS = dialect.Rows(
    "counts",
    [
        ("job_id", Uuid),
        ("id", BigInteger),
        ("cause", Text),
        ("failed", Integer),
        ("first", UtcDateTime),
        ("last", UtcDateTime),
    ],
)
CAUSES = dialect.Rows("causes", [("job_id", Uuid), ("position", Integer), ("cause", BigInteger)])


async def count(connection: AsyncConnection, more: Sequence[Count]) -> None:
    """Adds `more`, which has one item for each job and cause, to the counters.

    The caller holds the locks of these job rows, so no two transactions count for the same job at the same time.
    """
    if more:
        await direct.change(connection, _counting(connection.dialect.name), COUNTS.bind(connection, more))


@lru_cache
def _counting(dialect_name: str) -> Any:
    rows = COUNTS.clause(dialect_name)
    names = [name for name, _ in COUNTS.columns]
    # SQLite takes ON CONFLICT for a join unless there is a WHERE before it.
    added = dialect.insert_on(dialect_name, failure_cause).from_select(
        names, select(*(rows.c[name] for name in names)).where(rows.c.failed > 0)
    )
    known, new = failure_cause.c, added.excluded
    return added.on_conflict_do_update(
        index_elements=[known.job_id, known.id],
        set_={
            "failed": known.failed + new.failed,
            "first": case((new.first < known.first, new.first), else_=known.first),
            "last": case((new.last > known.last, new.last), else_=known.last),
        },
    )


def summed(failures: Iterable[tuple[UUID, str, datetime]]) -> list[Count]:
    """The sums of these failures (job, cause, time): one item for each job and cause."""
    found: dict[tuple[UUID, int], Count] = {}
    for job_id, cause, at in failures:
        id_ = cause_id(cause)
        known = found.get((job_id, id_))
        if known is None:
            found[job_id, id_] = Count(job_id, id_, cause, 1, at, at)
        else:
            found[job_id, id_] = known._replace(
                failed=known.failed + 1, first=min(known.first, at), last=max(known.last, at)
            )
    return sorted(found.values())


async def with_uncounted(connection: AsyncConnection, job_id: UUID | None) -> UUID | None:
    """A job with failures that are not counted yet, as a process of the previous release recorded them. With `job_id`
    only this job is looked at."""
    statement = select(task.c.job_id).where(text(UNCOUNTED)).limit(1)
    if job_id is not None:
        statement = statement.where(task.c.job_id == job_id)
    return (await connection.execute(statement)).scalar()


async def count_uncounted(connection: AsyncConnection, job_id: UUID, limit: int) -> int:
    """Counts up to `limit` uncounted failures of the job; returns how many, 0 also when another process was faster."""
    statement = (
        select(task.c.position, task.c.message, task.c.finished_at)
        .where(task.c.job_id == job_id, text(UNCOUNTED))
        .order_by(task.c.position)
        .limit(limit)
        .with_for_update()
    )
    found = (await connection.execute(statement)).all()
    if not found:
        return 0
    causes = [cause_of(message) for _, message, _ in found]
    ids = [(job_id, row.position, cause_id(cause)) for row, cause in zip(found, causes, strict=True)]
    await connection.execute(_naming(connection.dialect.name), CAUSES.bind(connection, ids))
    held = select(job.c.started).where(job.c.id == job_id).with_for_update()
    started = (await connection.execute(held)).scalar_one()
    counts = summed((job_id, cause, row.finished_at or started) for row, cause in zip(found, causes, strict=True))
    await count(connection, counts)
    return len(found)


@lru_cache
def _naming(dialect_name: str) -> Any:
    rows = CAUSES.clause(dialect_name)
    return (
        update(task)
        .where(task.c.job_id == rows.c.job_id, task.c.position == rows.c.position)
        .values(cause=rows.c.cause)
    )
