"""Pages of the tasks whose objects are stored, read by key, for `pas verify`. None commits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.artifacts import NAMES, ObjectName, is_named, object_name
from app.db.metadata_tables import artifact
from app.db.stored_objects import COLUMNS, stored_object
from app.db.tables import job, task
from app.db.tasks import from_json
from app.domain.archive_types import SchemaName
from app.domain.artifacts import StoredArtifact
from app.domain.jobs import JobState, Reference, TaskId, TaskState

JOBS = 100
"""Jobs looked into for one page; many small ones must not keep a connection for long."""


class KeptRow(NamedTuple):
    """What the row of an artifact says about its object; a search shows this."""

    sha256: str
    size: int
    content_type: str
    schema: SchemaName
    retain_until: datetime | None


@dataclass(frozen=True, slots=True)
class StoredTask:
    """A task, and where its object is stored.

    `row` is that of its artifact; a task that is not `recorded` yet has none.
    """

    id: TaskId
    reference: Reference
    stored: StoredArtifact
    recorded: bool
    row: KeptRow | None


@dataclass(frozen=True, slots=True)
class DamagedTask:
    """A task whose row does not say where its object is stored."""

    id: TaskId
    reference: Reference


async def stored_page(
    connection: AsyncConnection,
    after: TaskId | None,
    limit: int,
    *,
    job_id: UUID | None = None,
    since: datetime | None = None,
) -> tuple[list[StoredTask | DamagedTask], TaskId | None]:
    """Up to `limit` stored tasks after `after` (None: from the start), and the next place (None: the end).

    A page may be empty and not be the last. `since` leaves out tasks recorded before that time; tasks that are stored
    and not recorded yet are always included. Only this query says where stored artifacts are found.
    """
    found: list[StoredTask | DamagedTask] = []
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


async def _of_job(
    connection: AsyncConnection, after: TaskId, limit: int, since: datetime | None
) -> list[StoredTask | DamagedTask]:
    statement = (
        select(task.c.position, task.c.reference_id, task.c.reference_version, task.c.stored, task.c.state)
        .where(task.c.job_id == after.job_id, task.c.position > after.position, task.c.stored.is_not(None))
        .order_by(task.c.position)
        .limit(limit)
    )
    if since is not None:
        statement = statement.where(or_(task.c.finished_at.is_(None), task.c.finished_at >= since))
    read = [
        (TaskId(after.job_id, position), Reference(id_, version), _read(stored), state == TaskState.SUCCEEDED)
        for position, id_, version, stored, state in await connection.execute(statement)
    ]
    rows = await _rows(connection, [stored for _, _, stored, _ in read if stored is not None])
    return [
        DamagedTask(place, reference)
        if stored is None
        else StoredTask(place, reference, stored, recorded, rows.get(object_name(stored)))
        for place, reference, stored, recorded in read
    ]


def _read(stored: str) -> StoredArtifact | None:
    try:
        return from_json(stored)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


async def _rows(connection: AsyncConnection, stored: Sequence[StoredArtifact]) -> dict[ObjectName, KeptRow]:
    if not stored:
        return {}
    names = NAMES.bind(connection, sorted({object_name(each) for each in stored}))
    found = await connection.execute(_rows_of(connection.dialect.name), names)
    kept = {}
    for row in found:
        lies = stored_object(row)
        name = ObjectName(lies.bucket, lies.key, lies.version_id)
        kept[name] = KeptRow(lies.sha256, lies.size, lies.content_type, lies.schema, row.retain_until)
    return kept


@lru_cache
def _rows_of(dialect_name: str) -> Select[Any]:
    names = NAMES.clause(dialect_name)
    return select(*COLUMNS, artifact.c.retain_until).where(is_named(names))
