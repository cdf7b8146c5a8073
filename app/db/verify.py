"""Pages of the tasks whose objects are stored, read by key, for `pas verify`. None commits."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.tables import job, task
from app.db.tasks import from_json
from app.domain.artifacts import StoredArtifact
from app.domain.jobs import JobState, Reference, TaskId

JOBS = 100
"""Jobs looked into for one page; many small ones must not keep a connection for long."""


@dataclass(frozen=True, slots=True)
class StoredTask:
    """A task, and where its object lies."""

    id: TaskId
    reference: Reference
    stored: StoredArtifact


async def stored_page(
    connection: AsyncConnection,
    after: TaskId | None,
    limit: int,
    *,
    job_id: UUID | None = None,
    since: datetime | None = None,
) -> tuple[list[StoredTask], TaskId | None]:
    """Up to `limit` stored tasks behind `after` (None: from the start), and the place to go on from (None: the end).

    A page may be empty and not the last. `since` leaves out what was recorded before; what is stored and not recorded
    yet always belongs. This is the one place that says where stored artifacts are found.
    """
    found: list[StoredTask] = []
    place = after
    if place is None:
        first = job_id or await _next_job(connection, None, since)
        place = None if first is None else TaskId(first, -1)
    for _ in range(JOBS):
        if place is None:
            break
        found += await _of_job(connection, place, limit - len(found), since)
        if len(found) == limit:
            return found, found[-1].id
        following = None if job_id is not None else await _next_job(connection, place.job_id, since)
        place = None if following is None else TaskId(following, -1)
    return found, place


async def _next_job(connection: AsyncConnection, after: UUID | None, since: datetime | None) -> UUID | None:
    statement = select(job.c.id).order_by(job.c.id).limit(1)
    if after is not None:
        statement = statement.where(job.c.id > after)
    if since is not None:
        statement = statement.where(or_(job.c.state == JobState.OPEN, job.c.last_settled >= since))
    found: UUID | None = (await connection.execute(statement)).scalar_one_or_none()
    return found


async def _of_job(connection: AsyncConnection, after: TaskId, limit: int, since: datetime | None) -> list[StoredTask]:
    statement = (
        select(task.c.position, task.c.reference_id, task.c.reference_version, task.c.stored)
        .where(task.c.job_id == after.job_id, task.c.position > after.position, task.c.stored.is_not(None))
        .order_by(task.c.position)
        .limit(limit)
    )
    if since is not None:
        statement = statement.where(or_(task.c.finished_at.is_(None), task.c.finished_at >= since))
    return [
        StoredTask(TaskId(after.job_id, position), Reference(reference_id, version), from_json(stored))
        for position, reference_id, version, stored in await connection.execute(statement)
    ]
