"""Queries on the tasks that commands name: look up, note where the object lies, settle outcomes. None commits."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import (
    BigInteger,
    Float,
    FromClause,
    Integer,
    Select,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    false,
    func,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningUpdate

from app.db import artifacts, causes, dialect, direct, live_tasks, progress
from app.db.tables import UtcDateTime, job, task
from app.domain.artifacts import StoredArtifact
from app.domain.causes import cause_id, cause_of
from app.domain.jobs import BY_FAILURES, FailureThreshold, JobKind, JobState, Reference, TaskId, TaskState
from app.domain.tasks import NoData, Outcome, PutBack, Settlement, TaskKey, TaskRow

NEVER = FailureThreshold(share=2.0, min_tasks=1)
"""The threshold of a job that never pauses itself: no more than all of its tasks can fail."""

# Statements are built once per dialect and kept (lru_cache); rows and times are bound when they are executed.
NOW = bindparam("now", type_=UtcDateTime)


WANTED = dialect.Rows("wanted", [("job_id", Uuid), ("reference_key", Uuid)])
IDS = dialect.Rows("ids", [("job_id", Uuid), ("position", Integer)])
OBJECTS = dialect.Rows("objects", [("job_id", Uuid), ("position", Integer), ("stored", Text)])
OUTCOMES = dialect.Rows(
    "outcomes",
    [
        ("job_id", Uuid),
        ("position", Integer),
        ("state", Text),
        ("message", Text),
        ("trace_id", Text),
        ("cause", BigInteger),
    ],
)
NO_DATA = dialect.Rows("no_data", [("job_id", Uuid), ("position", Integer), ("trace_id", Text)])
PUT_BACK = dialect.Rows(
    "put_back", [("job_id", Uuid), ("position", Integer), ("not_before", UtcDateTime), ("attempts", Integer)]
)


async def look_up(connection: AsyncConnection, keys: Sequence[TaskKey]) -> dict[TaskKey, TaskRow]:
    """The tasks of many commands in one query; unknown tasks are absent."""
    statement = _look_up(connection.dialect.name)
    found = await direct.fetch(connection, statement, WANTED.bind(connection, list(set(keys))))
    rows = {
        TaskKey(job_id, key): TaskRow(
            TaskId(job_id, position),
            _STATES[state],
            attempts,
            None if stored is None else from_json(stored),
            *of_job,
        )
        for job_id, position, key, state, attempts, stored, *of_job in found
    }
    live = [key for key, row in rows.items() if row.kind == JobKind.LIVE and row.state is TaskState.OPEN]
    return {**rows, **await _with_origins(connection, rows, live)} if live else rows


async def of_reference(connection: AsyncConnection, job_id: UUID, reference: Reference) -> list[TaskRow]:
    """All tasks of this reference in a job: of a live job there may be several."""
    same = (
        task.c.reference_version.is_(None)
        if reference.version is None
        else task.c.reference_version == reference.version
    )
    statement = select(task.c.reference_key).where(task.c.job_id == job_id, task.c.reference_id == reference.id, same)
    keys = [TaskKey(job_id, key) for key in (await connection.execute(statement)).scalars()]
    return list((await look_up(connection, keys)).values()) if keys else []


async def _with_origins(
    connection: AsyncConnection, rows: Mapping[TaskKey, TaskRow], live: Sequence[TaskKey]
) -> dict[TaskKey, TaskRow]:
    origins = await live_tasks.origins(connection, [key.reference_key for key in live])
    behind = await live_tasks.behind(connection, [key.reference_key for key in live])
    return {
        key: replace(rows[key], origin=origins[key.reference_key], is_behind=key.reference_key in behind)
        for key in live
        if key.reference_key in origins
    }


@lru_cache
def _look_up(dialect_name: str) -> Select[Any]:
    wanted = WANTED.clause(dialect_name)
    return select(
        task.c.job_id,
        task.c.position,
        task.c.reference_key,
        task.c.state,
        task.c.attempts,
        task.c.stored,
        job.c.message,  # from here on as in TaskRow
        job.c.topic,
        job.c.resolved_config_id,
        job.c.num_of_retry,
        job.c.started,
        job.c.paused,
        job.c.kind,
    ).where(
        task.c.job_id == wanted.c.job_id,
        task.c.reference_key == wanted.c.reference_key,
        job.c.id == task.c.job_id,
    )


_STATES = {str(state): state for state in TaskState}


async def note(connection: AsyncConnection, objects: Sequence[tuple[TaskId, StoredArtifact]]) -> set[TaskId]:
    """Notes where the objects are stored; returns the tasks that were open and had no place yet. Only these may be
    announced.

    A task that failed meanwhile, as its job was cancelled, stays failed: with the place noted, `pas verify` knows its
    object. One statement, so it may be its own transaction (`Database.once`).
    """
    values = [(*task_id, to_json(stored)) for task_id, stored in objects]
    found = await direct.fetch(connection, _note(connection.dialect.name), OBJECTS.bind(connection, values))
    return {TaskId(job_id, position) for job_id, position, state in found if state == TaskState.OPEN}


@lru_cache
def _note(dialect_name: str) -> ReturningUpdate[Any]:
    values = _in_order(OBJECTS, dialect_name)
    return (
        update(task)
        .where(
            task.c.job_id == values.c.job_id,
            task.c.position == values.c.position,
            task.c.state != TaskState.SUCCEEDED,
            task.c.stored.is_(None),
        )
        .values(stored=values.c.stored)
        .returning(task.c.job_id, task.c.position, task.c.state)
    )


def _in_order(rows: dialect.Rows, dialect_name: str) -> FromClause:
    """The rows of parameters, after the tasks they name were locked in their order: batches that lock in different
    order would deadlock."""
    values = rows.clause(dialect_name)
    if dialect_name != "postgresql":
        return values
    return (
        select(*values.c)
        .join(task, (task.c.job_id == values.c.job_id) & (task.c.position == values.c.position))
        .order_by(task.c.job_id, task.c.position)
        .with_for_update(of=task)
        .subquery("locked")
    )


class SettledTasks(NamedTuple):
    """The tasks that were changed, the jobs that ended with them, and the jobs that their failures paused."""

    changed: set[TaskId]
    completed: list[UUID]
    paused: list[UUID]


async def settle(
    connection: AsyncConnection,
    settlements: Sequence[Settlement],
    now: datetime,
    threshold: FailureThreshold | None = None,
) -> SettledTasks:
    """Records many answers in one transaction.

    A task that is no longer open stays as it is. A task with a stored object can only succeed.
    """
    outcomes = [item for item in settlements if isinstance(item, Outcome)]
    if len({type(item) for item in settlements}) > 1:  # several statements will follow, each locks in its own order
        await _lock(connection, [item.id for item in settlements])
    changed = await _finish(connection, outcomes, now)
    done = {task_id for task_id, _, _ in changed}
    await artifacts.insert(connection, [each.archived for each in outcomes if each.archived and each.id in done])
    done |= await _remember_no_data(connection, [item for item in settlements if isinstance(item, NoData)], now)
    back, holds = await _put_back(connection, [item for item in settlements if isinstance(item, PutBack)])
    completed, paused = await _change_jobs(connection, changed, holds, now, threshold or NEVER)
    failed = [(task_id.job_id, cause, now) for task_id, _, cause in changed if cause is not None]
    await causes.count(connection, causes.summed(failed))  # behind the jobs, whose rows are held now
    await progress.count(connection, Counter(task_id.job_id for task_id, _, _ in changed), now)
    return SettledTasks(done | back, completed, paused)


async def _lock(connection: AsyncConnection, ids: Sequence[TaskId]) -> None:
    """Locks the rows in their order, before several statements use them."""
    if dialect.is_postgresql(connection):
        await direct.fetch(connection, _locking(), IDS.bind(connection, ids))


@lru_cache
def _locking() -> Select[Any]:
    return select(_in_order(IDS, "postgresql").c.position)


async def _finish(
    connection: AsyncConnection, outcomes: Sequence[Outcome], now: datetime
) -> list[tuple[TaskId, TaskState, str | None]]:
    """The tasks that were changed, with the cause of those that failed."""
    if not outcomes:
        return []
    named: dict[int, str] = {}
    values = []
    for outcome in outcomes:
        id_ = None
        if outcome.state is TaskState.FAILED:
            cause = cause_of(outcome.message)
            named[id_ := cause_id(cause)] = cause
        values.append((*outcome.id, str(outcome.state), outcome.message, outcome.trace_id, id_))
    found = await direct.fetch(
        connection, _finishing(connection.dialect.name), {**OUTCOMES.bind(connection, values), "now": now}
    )
    return [
        (TaskId(job_id, position), _STATES[state], None if id_ is None else named[id_])
        for job_id, position, state, id_ in found
    ]


@lru_cache
def _finishing(dialect_name: str) -> ReturningUpdate[Any]:
    values = _in_order(OUTCOMES, dialect_name)
    return (
        update(task)
        .where(
            task.c.job_id == values.c.job_id,
            task.c.position == values.c.position,
            task.c.state == TaskState.OPEN,
            (values.c.state == str(TaskState.SUCCEEDED)) | task.c.stored.is_(None),
        )
        .values(
            state=values.c.state,
            message=values.c.message,
            trace_id=values.c.trace_id,
            cause=values.c.cause,
            finished_at=NOW,
            claimed_until=None,
        )
        .returning(task.c.job_id, task.c.position, task.c.state, task.c.cause)
    )


async def _change_jobs(
    connection: AsyncConnection,
    changed: Sequence[tuple[TaskId, TaskState, str | None]],
    holds: Mapping[UUID, datetime],
    now: datetime,
    threshold: FailureThreshold,
) -> tuple[list[UUID], list[UUID]]:
    """Updates the counters of the jobs and pauses jobs, each job once, in the order of their ids.

    A job without open tasks ends here, and only once; a live job not before its day is over. Returns the jobs that
    ended, and the jobs that paused because they had more failures than the threshold allows.
    """
    counts: dict[UUID, list[int]] = {}
    for task_id, state, _ in changed:
        counts.setdefault(task_id.job_id, [0, 0])[state is TaskState.FAILED] += 1
    completed, paused = [], []
    for job_id in sorted({*counts, *holds}):
        if job_id in counts:
            succeeded, failed = counts[job_id]
            values = {"job": job_id, "more_succeeded": succeeded, "more_failed": failed, "now": now}
            ((state, paused_at),) = await direct.fetch(connection, _counting(), {**values, **threshold._asdict()})
            if state == JobState.COMPLETED:
                completed.append(job_id)
            elif paused_at == now:
                paused.append(job_id)
        if job_id in holds:
            hold = update(job).where(job.c.id == job_id, job.c.state == JobState.OPEN).values(held_until=holds[job_id])
            await connection.execute(hold)
    return completed, paused


@lru_cache
def _counting() -> ReturningUpdate[Any]:
    succeeded, failed = bindparam("more_succeeded", type_=Integer), bindparam("more_failed", type_=Integer)
    left = job.c.open - (succeeded + failed)
    judged = job.c.succeeded + job.c.failed + succeeded + failed - job.c.pardoned
    judged_failed = job.c.failed + failed - job.c.pardoned_failed
    ends = and_(left == 0, or_(job.c.takes_until.is_(None), job.c.takes_until <= NOW))
    too_many = and_(
        left > 0,
        job.c.paused.is_(False),
        judged >= bindparam("min_tasks", type_=Integer),
        judged_failed > judged * bindparam("share", type_=Float(53)),
    )
    return (
        update(job)
        .where(job.c.id == bindparam("job", type_=Uuid))
        .values(
            open=left,
            succeeded=job.c.succeeded + succeeded,
            failed=job.c.failed + failed,
            last_settled=NOW,
            state=case((ends, str(JobState.COMPLETED)), else_=job.c.state),
            completed=case((ends, NOW), else_=job.c.completed),
            paused=case((ends, false()), (too_many, true()), else_=job.c.paused),
            paused_at=case((too_many, NOW), else_=job.c.paused_at),
            paused_by=case((too_many, BY_FAILURES), else_=job.c.paused_by),
            waiting_for=case((or_(left == 0, too_many), null()), else_=job.c.waiting_for),
        )
        .returning(job.c.state, job.c.paused_at)
    )


async def _remember_no_data(connection: AsyncConnection, items: Sequence[NoData], now: datetime) -> set[TaskId]:
    if not items:
        return set()
    values = NO_DATA.bind(connection, [(*item.id, item.trace_id) for item in items])
    found = await direct.fetch(connection, _remembering_no_data(connection.dialect.name), {**values, "now": now})
    return {TaskId(*row) for row in found}


@lru_cache
def _remembering_no_data(dialect_name: str) -> ReturningUpdate[Any]:
    values = _in_order(NO_DATA, dialect_name)
    return (
        update(task)
        .where(
            task.c.job_id == values.c.job_id,
            task.c.position == values.c.position,
            task.c.state == TaskState.OPEN,
            task.c.stored.is_(None),
        )
        .values(
            answered=True,
            no_data_at=NOW,
            no_data_count=task.c.no_data_count + 1,
            trace_id=values.c.trace_id,
            published_at=func.coalesce(task.c.published_at, NOW),
            claimed_until=None,
        )
        .returning(task.c.job_id, task.c.position)
    )


@lru_cache
def _putting_back(dialect_name: str) -> ReturningUpdate[Any]:
    values = _in_order(PUT_BACK, dialect_name)
    return (
        update(task)
        .where(
            task.c.job_id == values.c.job_id,
            task.c.position == values.c.position,
            task.c.state == TaskState.OPEN,
        )
        .values(
            published_at=None,
            claimed_until=None,
            answered=False,
            not_before=values.c.not_before,
            attempts=values.c.attempts,
        )
        .returning(task.c.job_id, task.c.position)
    )


async def _put_back(connection: AsyncConnection, items: Sequence[PutBack]) -> tuple[set[TaskId], dict[UUID, datetime]]:
    """Returns the tasks that were changed, and for each job that must wait, until when."""
    if not items:
        return set(), {}
    values = PUT_BACK.bind(connection, [(*item.id, item.not_before, item.attempts) for item in items])
    done = {TaskId(*row) for row in await direct.fetch(connection, _putting_back(connection.dialect.name), values)}
    holds: dict[UUID, datetime] = {}
    for item in items:
        if item.hold_job and item.id in done:
            holds[item.id.job_id] = max(item.not_before, holds.get(item.id.job_id, item.not_before))
    return done, holds


def to_json(stored: StoredArtifact) -> str:
    """Its fields as a JSON object, times in ISO format."""
    return orjson.dumps(stored).decode()


def from_json(document: str) -> StoredArtifact:
    values = orjson.loads(document)
    values["archived_at"] = datetime.fromisoformat(values["archived_at"])
    values["retain_until"] = None if values["retain_until"] is None else datetime.fromisoformat(values["retain_until"])
    values["metadata"] = tuple((name, value) for name, value in values["metadata"])
    return StoredArtifact(**values)
