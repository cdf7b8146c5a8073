"""Pages of the references of a job in the order of submission, each read over an index that fits the filters.

No transaction stays open between two pages, and no page reads all of a job.
"""

import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select, text, union
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import artifacts, dialect
from app.db.failures import is_cause, trace_id_of_failed
from app.db.metadata_tables import artifact
from app.db.tables import FAILED, NO_DATA, OUTSTANDING, WAITING, failure_cause, task
from app.db.tasks import from_json
from app.domain.artifacts import StoredArtifact
from app.domain.causes import cause_id, cause_of
from app.domain.errors import STEP_READ, STEP_STORE
from app.domain.jobs import Reference, TaskState
from app.domain.references import ObjectOf, ReferenceStatus, WantedReferences

WINDOW = 5_000
"""References that are searched for a prefix in the order of submission, about 5 ms, before the index of ids is used."""

MOST = 10_000_000
"""More references than any job has."""

_ATTEMPTS = re.compile(r"\((\d+) attempts?\)$")

_ANSWERED = (STEP_READ, STEP_STORE, "Archive data ", "Unknown archive data schema ")
"""How messages begin of tasks that failed after their source had answered."""

_ALL = select(
    task.c.position,
    task.c.reference_key,
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

Record = Any
"""A row; its columns are those of the query."""

Known = dict[artifacts.ObjectName, Record]


async def page(
    connection: AsyncConnection, job_id: UUID, wanted: WantedReferences, after: int, limit: int
) -> list[ReferenceStatus]:
    """Up to `limit` references after position `after` (−1 for the first page)."""
    found = await _rows(connection, job_id, wanted, after, limit)
    stored = {row.position: from_json(row.stored) for row in found if row.stored is not None}
    known = await _artifacts(connection, list(stored.values()))
    names = await _names(connection, job_id, {row.cause for row in found if row.cause is not None})
    return [_status(job_id, row, stored.get(row.position), known, names) for row in found]


async def last(
    connection: AsyncConnection, job_id: UUID, wanted: WantedReferences, before: int | None, limit: int
) -> int:
    """The place behind which the last page begins, or the one before position `before`: the `after` of `page`.

    For filters without a prefix, which are read backwards over the same indexes.
    """
    if wanted.cause is not None and wanted.state not in (None, TaskState.FAILED):
        return -1
    if wanted.state is TaskState.OPEN:
        found = await connection.execute(_open_backwards(job_id, before, limit + 1))
    else:
        which = _which(job_id, wanted, -1)
        if before is not None:
            which.append(task.c.position < before)
        order = [column.desc() for column in _order(wanted)]
        found = await connection.execute(select(task.c.position).where(*which).order_by(*order).limit(limit + 1))
    positions = list(found.scalars())
    return positions[limit] if len(positions) > limit else -1


def _open_backwards(job_id: UUID, before: int | None, limit: int) -> Select[Any]:
    parts = []
    for condition in (WAITING, OUTSTANDING, NO_DATA):
        there: list[Any] = [
            task.c.job_id == job_id,
            text(condition),
            *([] if before is None else [task.c.position < before]),
        ]
        part = select(task.c.position).where(*there).order_by(task.c.position.desc()).limit(limit).subquery()
        parts.append(select(part.c.position))
    together = union(*parts).subquery()
    return select(together.c.position).order_by(together.c.position.desc()).limit(limit)


async def _rows(
    connection: AsyncConnection, job_id: UUID, wanted: WantedReferences, after: int, limit: int
) -> Sequence[Record]:
    if wanted.cause is not None and wanted.state not in (None, TaskState.FAILED):
        return []
    if wanted.prefix:
        return await _at(connection, job_id, await _alike(connection, job_id, wanted, wanted.prefix, after, limit))
    if wanted.state is TaskState.OPEN:
        found = await connection.execute(_open(job_id, after, limit))
        return await _at(connection, job_id, [row.position for row in found])
    statement = _ALL.where(*_which(job_id, wanted, after)).order_by(*_order(wanted)).limit(limit)
    return (await connection.execute(statement)).all()


def _order(wanted: WantedReferences) -> list[Any]:
    """The order of submission, written so that PostgreSQL uses the index (see `is_cause`)."""
    return [task.c.position] if wanted.cause is None else [task.c.cause, task.c.position]


def _which(job_id: UUID, wanted: WantedReferences, after: int) -> list[Any]:
    """Conditions on state and cause, written like those of the partial indexes."""
    which: list[Any] = [task.c.job_id == job_id, task.c.position > after]
    if wanted.cause is not None:
        which += is_cause(cause_id(wanted.cause))
    elif wanted.state is TaskState.FAILED:
        which.append(text(FAILED))
    elif wanted.state is not None:
        which.append(task.c.state == wanted.state)
    return which


async def _alike(
    connection: AsyncConnection, job_id: UUID, wanted: WantedReferences, prefix: str, after: int, limit: int
) -> Sequence[int]:
    """The positions of the next `limit` references whose ids begin with `prefix`.

    The next `WINDOW` references are searched in the order of submission. When they hold too few, the index of ids finds
    all of the job, and these are sorted.
    """
    if wanted.state is TaskState.OPEN:
        near = _open(job_id, after, WINDOW).subquery()
    else:
        which = _which(job_id, wanted, after)
        columns = select(task.c.position, task.c.reference_id)
        near = columns.where(*which).order_by(*_order(wanted)).limit(WINDOW).subquery()
    begin = dialect.begins_with(connection, near.c.reference_id, prefix)
    first = select(near.c.position).where(*begin).order_by(near.c.position).limit(limit)
    found = list((await connection.execute(first)).scalars())
    if len(found) == limit:
        return found
    if (await connection.execute(select(near.c.position).offset(WINDOW - 1).limit(1))).first() is None:
        return found  # those were all
    by = ((task.c.state, wanted.state), (task.c.cause, wanted.cause))
    sifted = [column for column, value in by if value is not None]
    alike = (
        select(task.c.position, *sifted)  # what nobody asks for would be read from the rows, and not from the index
        .where(task.c.job_id == job_id, *dialect.begins_with(connection, task.c.reference_id, prefix))
        .order_by(*dialect.by_code_points(connection, task.c.reference_id), task.c.position)
        .limit(MOST)  # in the order of the index, and not to be taken apart: so it is used, whatever is guessed
        .subquery()
    )
    places = select(alike.c.position).where(alike.c.position > after).order_by(alike.c.position).limit(limit)
    if wanted.cause is not None:
        places = places.where(alike.c.cause == cause_id(wanted.cause))
    if wanted.state is not None:
        places = places.where(alike.c.state == wanted.state)
    return list((await connection.execute(places)).scalars())


async def _at(connection: AsyncConnection, job_id: UUID, positions: Sequence[int]) -> Sequence[Record]:
    """The rows at these positions. Not joined with rows of parameters: SQLite would then read the whole job."""
    if not positions:
        return []
    statement = _ALL.where(task.c.job_id == job_id, task.c.position.in_(positions)).order_by(task.c.position)
    return (await connection.execute(statement)).all()


def _open(job_id: UUID, after: int, limit: int) -> Select[Any]:
    """Position and id of open tasks. An open task is due, published, or without data: each kind has its own index."""
    parts = []
    for condition in (WAITING, OUTSTANDING, NO_DATA):
        columns = select(task.c.position, task.c.reference_id)
        behind = columns.where(task.c.job_id == job_id, task.c.position > after, text(condition))
        first = behind.order_by(task.c.position).limit(limit).subquery()
        parts.append(select(first.c.position, first.c.reference_id))
    together = union(*parts).subquery()
    return select(together.c.position, together.c.reference_id).order_by(together.c.position).limit(limit)


async def _artifacts(connection: AsyncConnection, stored: Sequence[StoredArtifact]) -> Known:
    """The artifact rows of these objects. They may be of another job: a task that found its object in the store has no
    artifact row of its own."""
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


def _status(
    job_id: UUID, row: Record, stored: StoredArtifact | None, known: Known, names: dict[int, str]
) -> ReferenceStatus:
    failed = row.state == TaskState.FAILED
    return ReferenceStatus(
        position=row.position,
        reference=Reference(row.reference_id, row.reference_version),
        state=TaskState(row.state),
        message=row.message,
        cause=names.get(row.cause) or cause_of(row.message) if failed else None,
        trace_id=trace_id_of_failed(row.trace_id, job_id, row.reference_key) if failed else row.trace_id,
        attempts=_attempts(row.attempts, stored, row.message if failed else None),
        published_at=row.published_at,
        no_data_count=row.no_data_count,
        no_data_at=row.no_data_at,
        finished_at=row.finished_at,
        object=None if stored is None else _object(stored, known.get(artifacts.object_name(stored))),
    )


def _object(stored: StoredArtifact, row: Record | None) -> ObjectOf:
    """The object. The end of its lock is that of the artifact row: a later job may have lengthened the lock."""
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


def _attempts(kept: int, stored: StoredArtifact | None, message: str | None) -> int:
    """How often the source was asked for the record, as far as that is known; `message` is that of a failure.

    The task row has the attempts before the task was last put back. A document that came, or an answer that failed the
    task, is one more; a message that names the number of attempts knows better.
    """
    named = _ATTEMPTS.search(message or "")
    if named:
        return max(kept, int(named[1]))
    answered = message is not None and message.startswith(_ANSWERED) and "(unreachable for " not in message
    return kept + 1 if stored is not None or answered else kept
