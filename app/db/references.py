"""Pages of the references of a job in the order of submission, each read over an index that has what is wanted.

No transaction stays open between two pages, and no page reads all of a job.
"""

import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select, text, union
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import artifacts, dialect
from app.db.failures import POSITIONS
from app.db.metadata_tables import artifact
from app.db.tables import FAILED, NO_DATA, OUTSTANDING, WAITING, failure_cause, task
from app.db.tasks import from_json
from app.domain.artifacts import StoredArtifact
from app.domain.causes import cause_id, cause_of
from app.domain.jobs import Reference, TaskState
from app.domain.references import ObjectOf, ReferenceStatus, Wanted

FEW = 10_000
"""References that begin alike: up to so many are sorted for a page (20 ms); more stand so close that reading on in the
order of submission finds a page."""

_ATTEMPTS = re.compile(r"\((\d+) attempts?\)$")

_ALL = (
    select(
        task.c.position,
        task.c.reference_id,
        task.c.reference_version,
        task.c.state,
        task.c.message,
        task.c.cause,
        task.c.trace_id,
        task.c.attempts,
        task.c.published_at,
        task.c.no_data_count,
        task.c.no_data_at,
        task.c.stored,
        task.c.finished_at,
    )
).order_by(task.c.position)

Record = Any
"""A row; its columns are those of the query."""

Known = dict[artifacts.ObjectName, Record]


async def page(
    connection: AsyncConnection, job_id: UUID, wanted: Wanted, after: int, limit: int
) -> list[ReferenceStatus]:
    """Up to `limit` references behind position `after` (−1 for the first page)."""
    found = await _rows(connection, job_id, wanted, after, limit)
    stored = {row.position: from_json(row.stored) for row in found if row.stored is not None}
    known = await _artifacts(connection, list(stored.values()))
    names = await _names(connection, job_id, {row.cause for row in found if row.cause is not None})
    return [_status(row, stored.get(row.position), known, names) for row in found]


async def _rows(connection: AsyncConnection, job_id: UUID, wanted: Wanted, after: int, limit: int) -> Sequence[Record]:
    if wanted.cause is not None and wanted.state not in (None, TaskState.FAILED):
        return []
    behind = [task.c.job_id == job_id, task.c.position > after]
    if wanted.prefix:
        alike = await _alike(connection, job_id, wanted.prefix)
        if alike is not None:
            places = sorted(row.position for row in alike if row.position > after and _is_wanted(row, wanted))
            return await _at(connection, job_id, places[:limit])
        behind += dialect.begins_with(connection, task.c.reference_id, wanted.prefix)
    if wanted.cause is not None:
        behind.append(task.c.cause == cause_id(wanted.cause))
    elif wanted.state is TaskState.OPEN:
        return await _at(connection, job_id, list((await connection.execute(_open(behind, limit))).scalars()))
    elif wanted.state is TaskState.FAILED:
        behind.append(text(FAILED))  # type: ignore[arg-type] # in the words of the index
    elif wanted.state is not None:
        behind.append(task.c.state == wanted.state)
    return (await connection.execute(_ALL.where(*behind).limit(limit))).all()


async def _alike(connection: AsyncConnection, job_id: UUID, prefix: str) -> Sequence[Record] | None:
    """Position, state and cause of all references that begin so; None where there are more than a few.

    In the order of the index: so it is used, whatever the statistics of other jobs say.
    """
    statement = (
        select(task.c.position, task.c.state, task.c.cause)
        .where(task.c.job_id == job_id, *dialect.begins_with(connection, task.c.reference_id, prefix))
        .order_by(*dialect.by_code_points(connection, task.c.reference_id), task.c.position)
        .limit(FEW + 1)
    )
    found = (await connection.execute(statement)).all()
    return found if len(found) <= FEW else None


def _is_wanted(row: Record, wanted: Wanted) -> bool:
    return (wanted.state is None or row.state == wanted.state) and (
        wanted.cause is None or row.cause == cause_id(wanted.cause)
    )


async def _at(connection: AsyncConnection, job_id: UUID, positions: Sequence[int]) -> Sequence[Record]:
    if not positions:
        return []
    places = POSITIONS.clause(connection.dialect.name)
    statement = _ALL.where(task.c.job_id == job_id, task.c.position == places.c.position)
    values = POSITIONS.bind(connection, [(position,) for position in positions])
    return (await connection.execute(statement, values)).all()


def _open(behind: Sequence[ColumnElement[bool]], limit: int) -> Select[Any]:
    """Open ones are due, out, or without data: there is an index for each, and none for all of them."""
    parts = []
    for condition in (WAITING, OUTSTANDING, NO_DATA):
        first = select(task.c.position).where(*behind, text(condition)).order_by(task.c.position).limit(limit)
        parts.append(select(first.subquery().c.position))
    together = union(*parts).subquery()
    return select(together.c.position).order_by(together.c.position).limit(limit)


async def _artifacts(connection: AsyncConnection, stored: Sequence[StoredArtifact]) -> Known:
    """The rows of these objects, of whatever job: one that found its object in the store has no row of its own."""
    if not stored:
        return {}
    names = artifacts.NAMES.clause(connection.dialect.name)
    statement = select(
        artifact.c.id, artifact.c.bucket, artifact.c.object_key, artifact.c.version_id, artifact.c.retain_until
    ).where(artifacts.is_named(names))
    values = artifacts.NAMES.bind(connection, sorted({artifacts.object_name(each) for each in stored}))
    found = (await connection.execute(statement, values)).all()
    return {artifacts.ObjectName(row.bucket, row.object_key, row.version_id): row for row in found}


async def _names(connection: AsyncConnection, job_id: UUID, ids: set[int]) -> dict[int, str]:
    if not ids:
        return {}
    statement = select(failure_cause.c.id, failure_cause.c.cause).where(
        failure_cause.c.job_id == job_id, failure_cause.c.id.in_(ids)
    )
    found = await connection.execute(statement)
    return {row.id: row.cause for row in found}


def _status(row: Record, stored: StoredArtifact | None, known: Known, names: dict[int, str]) -> ReferenceStatus:
    failed = row.state == TaskState.FAILED
    return ReferenceStatus(
        position=row.position,
        reference=Reference(row.reference_id, row.reference_version),
        state=TaskState(row.state),
        message=row.message,
        cause=names.get(row.cause) or cause_of(row.message) if failed else None,
        trace_id=row.trace_id,
        attempts=max(row.attempts, _attempts(row.message) if failed else 0),
        published_at=row.published_at,
        no_data_count=row.no_data_count,
        no_data_at=row.no_data_at,
        finished_at=row.finished_at,
        object=None if stored is None else _object(stored, known.get(artifacts.object_name(stored))),
    )


def _object(stored: StoredArtifact, row: Record | None) -> ObjectOf:
    """A later job may have lengthened the lock: the row of the artifact says so."""
    return ObjectOf(
        artifact_id=None if row is None else row.id,
        bucket=stored.bucket,
        key=stored.key,
        version_id=stored.version_id,
        sha256=stored.sha256,
        size=stored.size,
        retain_until=stored.retain_until if row is None or row.retain_until is None else row.retain_until,
        stored_at=stored.archived_at,
    )


def _attempts(message: str | None) -> int:
    """The task itself remembers only those before it was last put back."""
    found = _ATTEMPTS.search(message or "")
    return int(found[1]) if found else 0
