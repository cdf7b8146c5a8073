"""Queries on jobs. None commits: the caller's transaction is the unit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Row,
    RowMapping,
    Uuid,
    and_,
    bindparam,
    func,
    insert,
    literal,
    not_,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import causes, dialect
from app.db.pages import newest_first
from app.db.tables import NO_DATA, job, task
from app.domain.causes import cause_id, cause_of
from app.domain.identity import reference_key
from app.domain.jobs import Job, JobFilter, JobKind, JobResult, JobState, References, TaskState
from app.domain.waiting import Waiting, WaitingFor

KEYS_AT_ONCE = 2_000
"""Keys of tasks that are read in one go, some 5 ms: then other work of the event loop gets its turn."""


async def insert_if_absent(connection: AsyncConnection, new: Job) -> bool:
    """Returns False when a job with this id exists: concurrent identical submissions meet here, at the primary key."""
    statement = (
        dialect.insert(connection, job)
        .values(
            id=new.id,
            message=new.message,
            topic=new.topic,
            config_id=new.config_id,
            resolved_config_id=new.resolved_config_id,
            content_hash=new.content_hash,
            num_of_retry=new.num_of_retry,
            state=new.state,
            started=new.started,
            started_by_name=new.started_by_name,
            started_by_ext_id=new.started_by_ext_id,
            traceparent=new.traceparent,
            total=new.total,
            open=new.open,
            retry_of=new.retry_of,
            retry_cause=new.retry_cause,
            name=new.name,
            started_by_subject=new.started_by_subject,
            kind=new.kind,
            takes_until=new.takes_until,
        )
        .on_conflict_do_nothing(index_elements=[job.c.id])
        .returning(job.c.id)
    )
    return (await connection.execute(statement)).first() is not None


async def insert_tasks(
    connection: AsyncConnection, job_id: UUID, references: References, keys: bytes | None = None
) -> None:
    """One open task per reference, in order. `keys`: the 16 bytes of `reference_key` of each, where they are known."""
    each = (keys[at : at + 16] for at in range(0, len(keys), 16)) if keys else map(reference_key, references)
    columns = ["job_id", "position", "reference_key", "reference_id", "reference_version"]
    records = (
        (job_id, position, UUID(bytes=key), reference.id, reference.version)
        for position, (key, reference) in enumerate(zip(each, references, strict=True))
    )
    await dialect.insert_many(connection, task, columns, records)
    await dialect.refresh_statistics(connection, task, len(references))


async def find(connection: AsyncConnection, job_id: UUID, *, lock: bool = False) -> Job | None:
    """`lock` locks the row until the transaction ends. A caller that also locks tasks locks those first."""
    statement = select(job).where(job.c.id == job_id)
    row = (await connection.execute(statement.with_for_update() if lock else statement)).first()
    return None if row is None else as_job(row)


async def page(
    connection: AsyncConnection, before: tuple[datetime, UUID] | None, limit: int, wanted: JobFilter
) -> list[Job]:
    """Wanted jobs, newest first, that follow the job `before` in the list."""
    statement = newest_first(job, before, limit).where(*_conditions(wanted))
    return [as_job(row) for row in await connection.execute(statement)]


def _conditions(wanted: JobFilter) -> Iterator[ColumnElement[bool]]:
    for column, value in ((job.c.state, wanted.state), (job.c.message, wanted.message), (job.c.kind, wanted.kind)):
        if value is not None:
            yield column == value
    if wanted.result is not None:
        yield job.c.state == JobState.COMPLETED
        match wanted.result:
            case JobResult.SUCCEEDED:
                yield job.c.failed == 0
            case JobResult.FAILED:
                yield and_(job.c.failed > 0, job.c.succeeded == 0)
            case JobResult.PARTIALLY_SUCCEEDED:
                yield and_(job.c.failed > 0, job.c.succeeded > 0)
    if wanted.started_by is not None:
        names = (job.c.started_by_name, job.c.started_by_ext_id, job.c.started_by_subject)
        yield or_(*(name == wanted.started_by for name in names))
    if wanted.waiting is not None:
        waits = and_(job.c.state == JobState.OPEN, job.c.paused.is_(False), job.c.waiting_for.is_not(None))
        if isinstance(wanted.waiting, WaitingFor):
            yield and_(waits, job.c.waiting_for == wanted.waiting)
        else:
            yield waits if wanted.waiting else not_(waits)


async def redrive(connection: AsyncConnection, job_id: UUID) -> int:
    """Makes the commands of all open tasks due again; returns how many."""
    open_ones = (task.c.job_id == job_id, task.c.state == TaskState.OPEN)
    await _lock_tasks(connection, *open_ones)
    due = {"published_at": None, "claimed_until": None, "not_before": None, "answered": False, "attempts": 0}
    count = (await connection.execute(update(task).where(*open_ones).values(**due))).rowcount
    await connection.execute(update(job).where(job.c.id == job_id).values(held_until=None))
    return count


async def _lock_tasks(connection: AsyncConnection, *which: ColumnElement[bool]) -> None:
    """Locks the tasks of one job, in the order that all callers use: an UPDATE alone locks in an order of its own."""
    if dialect.is_postgresql(connection):
        locked = select(task.c.position).where(*which).order_by(task.c.position).with_for_update().subquery()
        await connection.execute(select(func.count()).select_from(locked))


async def count_without_data(
    connection: AsyncConnection, job_ids: Sequence[UUID]
) -> dict[UUID, tuple[int, datetime | None]]:
    """Open tasks whose source had no data when last asked, and when that was last; jobs without any are absent."""
    statement = (
        select(task.c.job_id, func.count(), func.max(task.c.no_data_at))
        .where(task.c.job_id.in_(job_ids), text(NO_DATA))
        .group_by(task.c.job_id)
    )
    return {job_id: (count, last) for job_id, count, last in await connection.execute(statement)}


async def count_waiting(connection: AsyncConnection) -> int:
    """Open jobs that wait for something (`domain.waiting`)."""
    statement = select(func.count()).where(job.c.state == JobState.OPEN, job.c.waiting_for.is_not(None))
    return (await connection.execute(statement)).scalar_one()


async def pause(connection: AsyncConnection, of: Job, who: str, now: datetime) -> None:
    """Stops publishing commands of the job. The caller holds its row, as for `resume`."""
    values = {"paused": True, "paused_at": now, "paused_by": who, "waiting_for": None}
    await connection.execute(update(job).where(job.c.id == of.id).values(**values))


async def resume(connection: AsyncConnection, of: Job, now: datetime) -> None:
    """Continues the job: its rate goes on from its old value; failures so far no longer count for the threshold."""
    values = {
        **_pause_ended(of, now),
        "last_settled": None if of.last_settled is None else now,
        **_pardoned(of.succeeded, of.failed),
    }
    await connection.execute(update(job).where(job.c.id == of.id).values(**values))


def _pause_ended(of: Job, now: datetime) -> dict[str, Any]:
    seconds = 0.0 if of.paused_at is None else max(0.0, (now - of.paused_at).total_seconds())
    return {"paused": False, "paused_at": None, "paused_by": None, "paused_seconds": of.paused_seconds + seconds}


def _pardoned(succeeded: int, failed: int) -> dict[str, int]:
    """The column values after which only new failures count for the failure threshold."""
    return {"pardoned": succeeded + failed, "pardoned_failed": failed}


@dataclass(frozen=True, slots=True)
class Cancel:
    """Who cancels and when, and the message of the tasks that fail with it."""

    by: str
    at: datetime
    message: str


async def cancel(connection: AsyncConnection, job_id: UUID, cancelled: Cancel) -> int | None:
    """Fails the open tasks without a stored object; returns how many. None when the job has ended, or was cancelled
    before and has nothing left to cancel.

    No trace ids are written: readers compute them (`failures.trace_id_of_failed`).

    Tasks with a stored object stay open and can only succeed; if there are none, the job ends here, but for a live job
    whose day is not over. A pause ends.
    """
    open_ones = (task.c.job_id == job_id, task.c.state == TaskState.OPEN, task.c.stored.is_(None))
    await _lock_tasks(connection, *open_ones)
    now, cause = cancelled.at, cause_of(cancelled.message)
    failed = {
        "state": TaskState.FAILED,
        "message": cancelled.message,
        "finished_at": now,
        "cause": cause_id(cause),
    }
    count = (await connection.execute(update(task).where(*open_ones).values(**failed, claimed_until=None))).rowcount
    of = await find(connection, job_id, lock=True)
    if of is None or of.state is JobState.COMPLETED or (of.cancelled_at is not None and count == 0):
        return None
    values: dict[str, Any] = {
        **_pause_ended(of, now),
        **_pardoned(of.succeeded, of.failed + count),
        "open": of.open - count,
        "failed": of.failed + count,
        "cancelled": of.cancelled + count,
        "held_until": None,
        "cancelled_by": cancelled.by,
        "cancelled_at": now,
        "waiting_for": None,
    }
    if of.open == count and (of.takes_until is None or of.takes_until <= now):
        values |= {"state": JobState.COMPLETED, "completed": now}
    await connection.execute(update(job).where(job.c.id == job_id).values(**values))
    if count:
        await causes.count(connection, [causes.Count(job_id, cause_id(cause), cause, count, now, now)])
    return count


async def copy_failed(connection: AsyncConnection, old: Job, new: UUID, cause: str | None = None) -> int:
    """Gives the failed references of a job to another one that has no tasks yet, in their order; how many there are.

    `cause`: only those that were counted with it. Tasks of messages keep the trace of their message.
    """
    place = func.row_number().over(order_by=task.c.position) - 1
    columns = ["job_id", "position", "reference_key", "reference_id", "reference_version"]
    if old.kind is JobKind.LIVE:
        columns.append("trace_id")
    failed = select(literal(new, Uuid), place, *(task.c[name] for name in columns[2:]))
    which = task.c.state == TaskState.FAILED if cause is None else task.c.cause == cause_id(cause)
    copied = insert(task).from_select(columns, failed.where(task.c.job_id == old.id, which))
    async with dialect.references_kept(connection):
        count = (await connection.execute(copied)).rowcount
    await dialect.refresh_statistics(connection, task, count)
    return count


async def keys_of(connection: AsyncConnection, job_id: UUID) -> bytes:
    """The 16 bytes of `reference_key` of each task."""
    keys, after = bytearray(), -1
    statement = (
        select(task.c.position, task.c.reference_key)
        .where(task.c.job_id == job_id, task.c.position > bindparam("after", type_=Integer))
        .order_by(task.c.position)
        .limit(KEYS_AT_ONCE)
    )
    while found := (await connection.execute(statement, {"after": after})).all():
        keys += b"".join(key.bytes for _, key in found)
        after = found[-1][0]
    return bytes(keys)


async def set_content(connection: AsyncConnection, job_id: UUID, total: int, content_hash: bytes) -> None:
    """Sets total and content hash of a job whose tasks were copied in this transaction: all of them are open."""
    values = {"total": total, "open": total, "content_hash": content_hash}
    await connection.execute(update(job).where(job.c.id == job_id).values(**values))


def as_job(row: Row[tuple[object, ...]]) -> Job:
    values = row._mapping
    return Job(
        id=values["id"],
        message=values["message"],
        topic=values["topic"],
        config_id=values["config_id"],
        resolved_config_id=values["resolved_config_id"],
        num_of_retry=values["num_of_retry"],
        state=JobState(values["state"]),
        started=values["started"],
        completed=values["completed"],
        started_by_name=values["started_by_name"],
        started_by_ext_id=values["started_by_ext_id"],
        total=values["total"],
        open=values["open"],
        succeeded=values["succeeded"],
        failed=values["failed"],
        last_settled=values["last_settled"],
        paused=values["paused"],
        paused_at=values["paused_at"],
        paused_by=values["paused_by"],
        cancelled=values["cancelled"],
        paused_seconds=values["paused_seconds"],
        retry_of=values["retry_of"],
        retry_cause=values["retry_cause"],
        traceparent=values["traceparent"],
        content_hash=values["content_hash"],
        name=values["name"],
        started_by_subject=values["started_by_subject"],
        kind=JobKind(values["kind"]),
        cancelled_by=values["cancelled_by"],
        cancelled_at=values["cancelled_at"],
        waiting=waiting_of(values),
        takes_until=values["takes_until"],
    )


def waiting_of(values: RowMapping) -> Waiting | None:
    """What a job waits for, from the columns of its row."""
    if values["waiting_for"] is None:
        return None
    return Waiting(
        WaitingFor(values["waiting_for"]),
        values["waiting_name"],
        values["waiting_since"],
        values["waiting_reason"],
        values["waiting_until"],
    )
