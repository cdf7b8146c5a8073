"""The task rows as outbox: which commands the database owes the broker, claimed, marked, owed again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Integer,
    Select,
    Update,
    Uuid,
    bindparam,
    func,
    or_,
    select,
    text,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningUpdate

from app.db import dialect
from app.db.tables import LEASED, OUTSTANDING, WAITING, UtcDateTime, job, task
from app.domain.jobs import JobState, Reference, TaskId, TaskState

JOBS_PER_CLAIM = 100
"""Jobs that get a turn in one claim; those served longest ago come first, so all get theirs."""


# Statements are built once per dialect and kept (lru_cache); rows and times are bound when they are executed.
IDS = dialect.Rows("ids", [("job_id", Uuid), ("position", Integer)])
NOW = bindparam("now", type_=UtcDateTime)


@dataclass(frozen=True, slots=True)
class OwedCommand:
    """A claimed command: what the relay needs to send it."""

    task: TaskId
    reference: Reference
    message: str
    topic: str
    traceparent: str | None


async def claim(
    connection: AsyncConnection, now: datetime, *, lease_until: datetime, window: int, batch: int
) -> list[OwedCommand]:
    """Leases up to `batch` due commands until `lease_until`, jobs taking turns, each within its `window`.

    What is outstanding is counted, claimed commands included; one process claims at a time, so that two cannot both
    fill the same window. `lease_until` also marks what this claim took (`mark_published`).
    """
    await dialect.lock(connection, dialect.LOCK_RELAY)
    jobs = list((await connection.execute(_turns(), {"now": now})).scalars())
    room = await _room(connection, jobs, now, window)
    taken: list[TaskId] = []
    for job_id, share in _shares(jobs, room, batch):
        due = await connection.execute(_due(), {"now": now, "job": job_id, "share": share})
        taken += [TaskId(*row) for row in due]
    if not taken:
        return []
    leasing = {**IDS.bind(connection, taken), "lease_until": lease_until}
    leased = (await connection.execute(_leasing(connection.dialect.name), leasing)).all()
    served = list({row.job_id for row in leased})
    heads = {row.id: row for row in await connection.execute(_heads(), {"served": served})}
    await connection.execute(_served(), {"served": served, "now": now})
    return [
        OwedCommand(
            TaskId(row.job_id, row.position),
            Reference(row.reference_id, row.reference_version),
            heads[row.job_id].message,
            heads[row.job_id].topic,
            heads[row.job_id].traceparent,
        )
        for row in sorted(leased)
    ]


def _waiting() -> list[ColumnElement[bool]]:
    """Commands that may be sent now."""
    return [
        text(WAITING),  # type: ignore[list-item]
        or_(task.c.claimed_until.is_(None), task.c.claimed_until < NOW),
        or_(task.c.not_before.is_(None), task.c.not_before <= NOW),
    ]


@lru_cache
def _turns() -> Select[Any]:
    # Not EXISTS: PostgreSQL turns that into a join, and then reads all that waits.
    first = (
        select(task.c.position).where(task.c.job_id == job.c.id, *_waiting()).order_by(task.c.position).limit(1)
    ).scalar_subquery()
    return (
        select(job.c.id)
        .where(
            job.c.state == JobState.OPEN,
            job.c.paused.is_(False),
            or_(job.c.held_until.is_(None), job.c.held_until <= NOW),
            first.is_not(None),
        )
        .order_by(job.c.relayed_at.nulls_first(), job.c.started)
        .limit(JOBS_PER_CLAIM)
    )


@lru_cache
def _due() -> Select[Any]:
    return (
        select(task.c.job_id, task.c.position)
        .where(task.c.job_id == bindparam("job", type_=Uuid), *_waiting())
        .order_by(task.c.position)
        .limit(bindparam("share", type_=Integer))
        .with_for_update(skip_locked=True)
    )


@lru_cache
def _leasing(dialect_name: str) -> ReturningUpdate[Any]:
    """Of rows that are locked, so they are still waiting: said again, PostgreSQL may read all that wait for each."""
    ids = IDS.clause(dialect_name)
    return (
        update(task)
        .where(task.c.job_id == ids.c.job_id, task.c.position == ids.c.position)
        .values(claimed_until=bindparam("lease_until", type_=UtcDateTime))
        .returning(task.c.job_id, task.c.position, task.c.reference_id, task.c.reference_version)
    )


@lru_cache
def _heads() -> Select[Any]:
    return select(job.c.id, job.c.message, job.c.topic, job.c.traceparent).where(job.c.id.in_(_SERVED))


@lru_cache
def _served() -> Update:
    return update(job).where(job.c.id.in_(_SERVED)).values(relayed_at=NOW)


_SERVED = bindparam("served", type_=Uuid, expanding=True)


async def _room(connection: AsyncConnection, jobs: Sequence[UUID], now: datetime, window: int) -> dict[UUID, int]:
    """How many more commands each job may have out: window − published and unanswered − being sent."""
    room = dict.fromkeys(jobs, window)
    if jobs:
        for job_id, count in await connection.execute(_out(), {"served": jobs, "now": now}):
            room[job_id] -= count
    return room


@lru_cache
def _out() -> CompoundSelect[Any]:
    """Two counts, each over its partial index: what waits may be a million rows."""
    published = (
        select(task.c.job_id, func.count().label("out"))
        .where(task.c.job_id.in_(_SERVED), text(OUTSTANDING))
        .group_by(task.c.job_id)
    )
    sending = (
        select(task.c.job_id, func.count())
        .where(task.c.job_id.in_(_SERVED), text(LEASED), task.c.claimed_until >= NOW)
        .group_by(task.c.job_id)
    )
    return published.union_all(sending)


async def count_outstanding(connection: AsyncConnection) -> int:
    """Commands published and not yet answered, of all jobs; the partial index holds no others."""
    return (await connection.execute(select(func.count()).select_from(task).where(text(OUTSTANDING)))).scalar_one()


def _shares(jobs: Sequence[UUID], room: dict[UUID, int], batch: int) -> list[tuple[UUID, int]]:
    """Splits `batch` evenly among the jobs with room; what small shares leave goes to those that can take more."""
    able = [job_id for job_id in jobs if room[job_id] > 0]
    shares = []
    for left, job_id in zip(range(len(able), 0, -1), sorted(able, key=lambda j: room[j]), strict=True):
        share = min(room[job_id], max(1, batch // left))
        shares.append((job_id, share))
        batch = max(0, batch - share)
    return shares


async def mark_published(
    connection: AsyncConnection, tasks: Sequence[TaskId], lease_until: datetime, now: datetime
) -> int:
    """Marks those that still carry this claim: what was answered meanwhile has let go of it and stays as it is."""
    return await _settle_claim(connection, tasks, lease_until, published_at=now)


async def release(connection: AsyncConnection, tasks: Sequence[TaskId], lease_until: datetime) -> int:
    """Gives a claim back at once, after a send that failed."""
    return await _settle_claim(connection, tasks, lease_until)


async def _settle_claim(
    connection: AsyncConnection, tasks: Sequence[TaskId], lease_until: datetime, published_at: datetime | None = None
) -> int:
    values = IDS.bind(connection, sorted(tasks))
    settled = await connection.execute(
        _settling_claim(connection.dialect.name), {**values, "lease_until": lease_until, "published": published_at}
    )
    return settled.rowcount


@lru_cache
def _settling_claim(dialect_name: str) -> Update:
    ids = IDS.clause(dialect_name)
    return (
        update(task)
        .where(
            task.c.job_id == ids.c.job_id,
            task.c.position == ids.c.position,
            task.c.state == TaskState.OPEN,
            task.c.claimed_until == bindparam("lease_until", type_=UtcDateTime),
        )
        .values(claimed_until=None, published_at=bindparam("published", type_=UtcDateTime))
    )


async def owe_again(connection: AsyncConnection, published_before: datetime | None, limit: int = 1_000) -> int:
    """Makes unanswered commands published before that time due again (all of them for None); returns how many.

    For topics that lost records, and for the embedded broker, which keeps none over a restart.
    """
    lost = (
        select(task.c.job_id, task.c.position)
        .join(job, job.c.id == task.c.job_id)
        .where(
            text(f"backfill_task.{OUTSTANDING}"),
            job.c.paused.is_(False),
            true() if published_before is None else task.c.published_at < published_before,
        )
        .order_by(task.c.job_id, task.c.position)
        .limit(limit)
        .with_for_update(of=task, skip_locked=True)
    )
    found = [TaskId(*row) for row in await connection.execute(lost)]
    if not found:
        return 0
    return (await connection.execute(_owing_again(connection.dialect.name), IDS.bind(connection, found))).rowcount


@lru_cache
def _owing_again(dialect_name: str) -> Update:
    ids = IDS.clause(dialect_name)
    return (
        update(task)
        .where(task.c.job_id == ids.c.job_id, task.c.position == ids.c.position, task.c.state == TaskState.OPEN)
        .values(published_at=None, claimed_until=None)
    )
