"""Queries on the tasks that commands name: look up, note where the object lies, settle outcomes. None commits."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Integer, Text, Uuid, case, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import dialect
from app.db.tables import UtcDateTime, job, task
from app.domain.artifacts import StoredArtifact
from app.domain.jobs import JobState, TaskId, TaskState


class TaskKey(NamedTuple):
    """What a command knows of its task: the job and the 16 bytes of `domain.identity.reference_key`."""

    job_id: UUID
    reference_key: UUID


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task as a command finds it, with what its job says."""

    id: TaskId
    state: TaskState
    attempts: int
    stored: StoredArtifact | None
    message: str
    topic: str
    config_id: str | None
    num_of_retry: int | None
    job_started: datetime
    paused: bool
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Succeeded, or failed with message and trace id."""

    id: TaskId
    state: TaskState
    message: str | None = None
    trace_id: str | None = None


@dataclass(frozen=True, slots=True)
class NoData:
    """The source had nothing: the task stays open and remembers it."""

    id: TaskId
    trace_id: str


@dataclass(frozen=True, slots=True)
class PutBack:
    """Unpublished again, not before a time; `hold_job` keeps the rest of the job back as long, to spare its source."""

    id: TaskId
    not_before: datetime
    attempts: int
    hold_job: bool = False


Settlement = Outcome | NoData | PutBack


async def look_up(connection: AsyncConnection, keys: Sequence[TaskKey]) -> dict[TaskKey, TaskRow]:
    """The tasks of many commands in one query; unknown ones are absent."""
    wanted = dialect.rows(connection, "wanted", [("job_id", Uuid), ("reference_key", Uuid)], sorted(set(keys)))
    statement = select(
        task.c.job_id,
        task.c.position,
        task.c.reference_key,
        task.c.state,
        task.c.attempts,
        task.c.stored,
        job.c.message,
        job.c.topic,
        job.c.resolved_config_id,
        job.c.num_of_retry,
        job.c.started,
        job.c.paused,
        job.c.traceparent,
    ).where(
        task.c.job_id == wanted.c.job_id,
        task.c.reference_key == wanted.c.reference_key,
        job.c.id == task.c.job_id,
    )
    return {
        TaskKey(row.job_id, row.reference_key): TaskRow(
            TaskId(row.job_id, row.position),
            TaskState(row.state),
            row.attempts,
            None if row.stored is None else from_json(row.stored),
            row.message,
            row.topic,
            row.resolved_config_id,
            row.num_of_retry,
            row.started,
            row.paused,
            row.traceparent,
        )
        for row in await connection.execute(statement)
    }


async def note(connection: AsyncConnection, objects: Sequence[tuple[TaskId, StoredArtifact]]) -> set[TaskId]:
    """Notes where the objects lie; returns those that were open and had none yet. Only these may be announced."""
    objects = sorted(objects, key=lambda pair: pair[0])
    values = dialect.rows(
        connection,
        "objects",
        [("job_id", Uuid), ("position", Integer), ("stored", Text)],
        [(*task_id, to_json(stored)) for task_id, stored in objects],
    )
    await _lock(connection, [task_id for task_id, _ in objects])
    statement = (
        update(task)
        .where(
            task.c.job_id == values.c.job_id,
            task.c.position == values.c.position,
            task.c.state == TaskState.OPEN,
            task.c.stored.is_(None),
        )
        .values(stored=values.c.stored)
        .returning(task.c.job_id, task.c.position)
    )
    return {TaskId(*row) for row in await connection.execute(statement)}


async def settle(
    connection: AsyncConnection, settlements: Sequence[Settlement], now: datetime
) -> tuple[set[TaskId], list[UUID]]:
    """Records many answers at once; returns the tasks that it changed and the jobs that it completed.

    A task that is no longer open stays as it is, and nothing but success is recorded where an object is stored.
    """
    await _lock(connection, sorted(item.id for item in settlements))
    changed = await _finish(connection, [item for item in settlements if isinstance(item, Outcome)], now)
    completed = await _count(connection, changed, now)
    done = {task_id for task_id, _ in changed}
    done |= await _remember_no_data(connection, [item for item in settlements if isinstance(item, NoData)], now)
    done |= await _put_back(connection, [item for item in settlements if isinstance(item, PutBack)])
    return done, completed


async def _lock(connection: AsyncConnection, ids: Sequence[TaskId]) -> None:
    """Locks the rows in their order: two batches that lock in different order would deadlock."""
    if len(ids) < 2 or not dialect.is_postgresql(connection):
        return
    wanted = dialect.rows(connection, "ids", [("job_id", Uuid), ("position", Integer)], ids)
    statement = (
        select(task.c.position)
        .where(task.c.job_id == wanted.c.job_id, task.c.position == wanted.c.position)
        .order_by(task.c.job_id, task.c.position)
        .with_for_update(of=task)
    )
    await connection.execute(statement)


async def _finish(
    connection: AsyncConnection, outcomes: Sequence[Outcome], now: datetime
) -> list[tuple[TaskId, TaskState]]:
    if not outcomes:
        return []
    values = dialect.rows(
        connection,
        "outcomes",
        [("job_id", Uuid), ("position", Integer), ("state", Text), ("message", Text), ("trace_id", Text)],
        [(*outcome.id, str(outcome.state), outcome.message, outcome.trace_id) for outcome in outcomes],
    )
    statement = (
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
            finished_at=now,
            claimed_until=None,
        )
        .returning(task.c.job_id, task.c.position, task.c.state)
    )
    return [(TaskId(row.job_id, row.position), TaskState(row.state)) for row in await connection.execute(statement)]


async def _count(connection: AsyncConnection, changed: Sequence[tuple[TaskId, TaskState]], now: datetime) -> list[UUID]:
    """Moves the counters of the jobs; where none is open any more the job ends, here and only once."""
    counts: dict[UUID, list[int]] = {}
    for task_id, state in changed:
        counts.setdefault(task_id.job_id, [0, 0])[state is TaskState.FAILED] += 1
    completed = []
    for job_id in sorted(counts):
        succeeded, failed = counts[job_id]
        left = job.c.open - (succeeded + failed)
        statement = (
            update(job)
            .where(job.c.id == job_id)
            .values(
                open=left,
                succeeded=job.c.succeeded + succeeded,
                failed=job.c.failed + failed,
                last_settled=now,
                state=case((left == 0, str(JobState.COMPLETED)), else_=job.c.state),
                completed=case((left == 0, now), else_=job.c.completed),
            )
            .returning(job.c.open)
        )
        if (await connection.execute(statement)).scalar_one() == 0:
            completed.append(job_id)
    return completed


async def _remember_no_data(connection: AsyncConnection, items: Sequence[NoData], now: datetime) -> set[TaskId]:
    if not items:
        return set()
    values = dialect.rows(
        connection,
        "items",
        [("job_id", Uuid), ("position", Integer), ("trace_id", Text)],
        [(*item.id, item.trace_id) for item in items],
    )
    statement = (
        update(task)
        .where(
            task.c.job_id == values.c.job_id,
            task.c.position == values.c.position,
            task.c.state == TaskState.OPEN,
            task.c.stored.is_(None),
        )
        .values(
            answered=True,
            no_data_at=now,
            no_data_count=task.c.no_data_count + 1,
            trace_id=values.c.trace_id,
            published_at=func.coalesce(task.c.published_at, now),
            claimed_until=None,
        )
        .returning(task.c.job_id, task.c.position)
    )
    return {TaskId(*row) for row in await connection.execute(statement)}


async def _put_back(connection: AsyncConnection, items: Sequence[PutBack]) -> set[TaskId]:
    if not items:
        return set()
    values = dialect.rows(
        connection,
        "items",
        [("job_id", Uuid), ("position", Integer), ("not_before", UtcDateTime), ("attempts", Integer)],
        [(*item.id, item.not_before, item.attempts) for item in items],
    )
    statement = (
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
    done = {TaskId(*row) for row in await connection.execute(statement)}
    holds: dict[UUID, datetime] = {}
    for item in items:
        if item.hold_job and item.id in done:
            holds[item.id.job_id] = max(item.not_before, holds.get(item.id.job_id, item.not_before))
    for job_id in sorted(holds):
        hold = update(job).where(job.c.id == job_id, job.c.state == JobState.OPEN).values(held_until=holds[job_id])
        await connection.execute(hold)
    return done


def to_json(stored: StoredArtifact) -> str:
    values = asdict(stored)
    values["archived_at"] = stored.archived_at.isoformat()
    values["retain_until"] = None if stored.retain_until is None else stored.retain_until.isoformat()
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def from_json(document: str) -> StoredArtifact:
    values = json.loads(document)
    values["archived_at"] = datetime.fromisoformat(values["archived_at"])
    values["retain_until"] = None if values["retain_until"] is None else datetime.fromisoformat(values["retain_until"])
    values["metadata"] = tuple((name, value) for name, value in values["metadata"])
    return StoredArtifact(**values)
