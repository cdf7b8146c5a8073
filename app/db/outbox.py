"""The task rows as outbox: which commands the database owes the broker, claimed, marked, owed again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Integer, Uuid, and_, func, or_, select, text, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import dialect
from app.db.tables import OUTSTANDING, WAITING, job, task
from app.domain.jobs import JobState, Reference, TaskId, TaskState

JOBS_PER_CLAIM = 100
"""Jobs that get a turn in one claim; those served longest ago come first, so all get theirs."""


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
    waiting = and_(
        task.c.job_id == job.c.id,
        text(WAITING),
        or_(task.c.claimed_until.is_(None), task.c.claimed_until < now),
        or_(task.c.not_before.is_(None), task.c.not_before <= now),
    )
    turn = (
        select(job.c.id)
        .where(
            job.c.state == JobState.OPEN,
            job.c.paused.is_(False),
            or_(job.c.held_until.is_(None), job.c.held_until <= now),
            select(task.c.position).where(waiting).exists(),
        )
        .order_by(job.c.relayed_at.nulls_first(), job.c.started)
        .limit(JOBS_PER_CLAIM)
    )
    jobs = list((await connection.execute(turn)).scalars())
    room = await _room(connection, jobs, now, window)
    shares = _shares(jobs, room, batch)
    if not shares:
        return []
    taken: list[TaskId] = []
    for job_id, share in shares:
        due = (
            select(task.c.job_id, task.c.position)
            .where(task.c.job_id == job_id, *waiting.clauses[1:])
            .order_by(task.c.position)
            .limit(share)
            .with_for_update(skip_locked=True)
        )
        taken += [TaskId(*row) for row in await connection.execute(due)]
    taken.sort()
    ids = dialect.rows(connection, "ids", [("job_id", Uuid), ("position", Integer)], taken)
    lease = (
        update(task)
        .where(task.c.job_id == ids.c.job_id, task.c.position == ids.c.position, text(f"backfill_task.{WAITING}"))
        .values(claimed_until=lease_until)
        .returning(task.c.job_id, task.c.position, task.c.reference_id, task.c.reference_version)
    )
    leased = (await connection.execute(lease)).all()
    served = {row.job_id for row in leased}
    heads = {
        row.id: row
        for row in await connection.execute(
            select(job.c.id, job.c.message, job.c.topic, job.c.traceparent).where(job.c.id.in_(served))
        )
    }
    await connection.execute(update(job).where(job.c.id.in_(served)).values(relayed_at=now))
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


async def _room(connection: AsyncConnection, jobs: Sequence[UUID], now: datetime, window: int) -> dict[UUID, int]:
    """How many more commands each job may have out: window − published and unanswered − being sent."""
    if not jobs:
        return {}
    out = select(task.c.job_id, func.count()).where(task.c.job_id.in_(jobs), text(OUTSTANDING)).group_by(task.c.job_id)
    sending = (
        select(task.c.job_id, func.count())
        .where(task.c.job_id.in_(jobs), text(WAITING), task.c.claimed_until >= now)
        .group_by(task.c.job_id)
    )
    room = dict.fromkeys(jobs, window)
    for statement in (out, sending):
        for job_id, count in await connection.execute(statement):
            room[job_id] -= count
    return room


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
    connection: AsyncConnection, tasks: Sequence[TaskId], lease_until: datetime, **values: object
) -> int:
    ids = dialect.rows(connection, "ids", [("job_id", Uuid), ("position", Integer)], sorted(tasks))
    statement = (
        update(task)
        .where(
            task.c.job_id == ids.c.job_id,
            task.c.position == ids.c.position,
            task.c.state == TaskState.OPEN,
            task.c.claimed_until == lease_until,
        )
        .values(claimed_until=None, **values)
    )
    return (await connection.execute(statement)).rowcount


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
    ids = dialect.rows(connection, "ids", [("job_id", Uuid), ("position", Integer)], found)
    statement = (
        update(task)
        .where(task.c.job_id == ids.c.job_id, task.c.position == ids.c.position, task.c.state == TaskState.OPEN)
        .values(published_at=None, claimed_until=None)
    )
    return (await connection.execute(statement)).rowcount
