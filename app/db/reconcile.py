"""Look-ups of many references at once: their current artifacts, and their tasks in the jobs of a message."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, Text, Uuid, bindparam, case, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import artifacts, dialect
from app.db.metadata_tables import CURRENT, artifact
from app.db.stored_objects import COLUMNS, stored_object
from app.db.tables import job, task
from app.db.tasks import from_json
from app.domain.artifacts import StoredArtifact, StoredObject
from app.domain.jobs import TaskState

KEYS = dialect.Rows("keys", [("reference_key", Uuid)])
IDS = dialect.Rows("ids", [("reference_id", Text)], as_json=True)
JOBS = dialect.Rows("jobs", [("job_id", Uuid)])

JOBS_AT_ONCE = 100
"""Jobs that one query looks through: 100 for each of 1,000 references are some 0.3 s."""


class FoundArtifact(NamedTuple):
    id: int
    job_id: UUID


class FoundTask(NamedTuple):
    """`stored` is there for a succeeded task: its object may be the artifact of another archive type or job."""

    job_id: UUID
    state: TaskState
    without_data: bool
    stored: StoredArtifact | None


async def archive_types(connection: AsyncConnection, message: str, config_id: str | None) -> list[str]:
    """Names of the archive types of a message that something was archived for, whatever is configured today.

    `config_id` None: all of the message. Each name is found behind the one before, over the index: there are few.
    """
    found: list[str] = []
    names = select(artifact.c.archive_type, artifact.c.message_type, artifact.c.config_id)
    following = names.order_by(artifact.c.archive_type).limit(1)
    row = (await connection.execute(following)).first()
    while row is not None:
        if row.message_type == message and config_id in (None, row.config_id):
            found.append(row.archive_type)
        behind = following.where(artifact.c.archive_type > row.archive_type)
        row = (await connection.execute(behind)).first()
    return found


async def jobs_of(connection: AsyncConnection, message: str, config_id: str | None) -> list[UUID]:
    """The jobs of a message, newest first; `config_id` None: whatever their configuration."""
    statement = select(job.c.id).where(job.c.message == message).order_by(job.c.started.desc(), job.c.id.desc())
    if config_id is not None:
        statement = statement.where(job.c.resolved_config_id == config_id)
    return list((await connection.execute(statement)).scalars())


async def current(connection: AsyncConnection, types: Sequence[str], keys: Iterable[UUID]) -> dict[UUID, FoundArtifact]:
    """The current artifact by `reference_key`; of several archive types the newest."""
    rows = [(key,) for key in keys]
    if not rows or not types:
        return {}
    statement = _current(connection.dialect.name)
    found = await connection.execute(statement, {**KEYS.bind(connection, rows), "types": list(types)})
    return {key: FoundArtifact(id_, job_id) for key, id_, job_id in sorted(found, key=lambda row: int(row[1]))}


@lru_cache
def _current(dialect_name: str) -> Select[Any]:
    keys = KEYS.clause(dialect_name)
    return select(artifact.c.reference_key, artifact.c.id, artifact.c.job_id).where(
        artifact.c.archive_type.in_(bindparam("types", expanding=True)),
        artifact.c.reference_key == keys.c.reference_key,
        text(CURRENT),
    )


async def current_of_any_version(
    connection: AsyncConnection, types: Sequence[str], ids: Iterable[str]
) -> dict[str, FoundArtifact]:
    """The current artifact of the highest version by reference id."""
    rows = [(id_,) for id_ in ids]
    if not rows or not types:
        return {}
    statement = _of_any_version(connection.dialect.name)
    found = await connection.execute(statement, {**IDS.bind(connection, rows), "types": list(types)})
    ordered = sorted(found, key=lambda row: (row.reference_version, row.id))
    return {row.reference_id: FoundArtifact(row.id, row.job_id) for row in ordered}


@lru_cache
def _of_any_version(dialect_name: str) -> Select[Any]:
    ids = IDS.clause(dialect_name)
    return select(artifact.c.reference_id, artifact.c.reference_version, artifact.c.id, artifact.c.job_id).where(
        artifact.c.reference_id == ids.c.reference_id,
        artifact.c.archive_type.in_(bindparam("types", expanding=True)),
        artifact.c.reference_version.is_not(None),
        text(CURRENT),
    )


async def tasks(
    connection: AsyncConnection, job_ids: Sequence[UUID], keys: Iterable[UUID]
) -> dict[UUID, list[FoundTask]]:
    """The tasks by `reference_key`, in the order of `job_ids`."""
    rows = [(key,) for key in keys]
    return await _tasks(connection, job_ids, KEYS, rows, _by_key) if rows else {}


async def tasks_of_any_version(
    connection: AsyncConnection, job_ids: Sequence[UUID], ids: Iterable[str]
) -> dict[str, list[FoundTask]]:
    """The tasks that have a version, by reference id, in the order of `job_ids`."""
    rows = [(id_,) for id_ in ids]
    return await _tasks(connection, job_ids, IDS, rows, _by_id) if rows else {}


async def _tasks(
    connection: AsyncConnection, job_ids: Sequence[UUID], kind: dialect.Rows, rows: Sequence[tuple[Any]], query: Any
) -> dict[Any, list[FoundTask]]:
    found: dict[Any, list[FoundTask]] = {}
    wanted = kind.bind(connection, rows)
    for begin in range(0, len(job_ids), JOBS_AT_ONCE):
        some = job_ids[begin : begin + JOBS_AT_ONCE]
        places = {id_: place for place, id_ in enumerate(some)}
        jobs = JOBS.bind(connection, [(id_,) for id_ in some])
        answers = await connection.execute(query(connection.dialect.name), {**wanted, **jobs})
        for name, job_id, state, without_data, stored in sorted(answers, key=lambda row: places[row[1]]):
            object_ = None if stored is None else from_json(stored)
            found.setdefault(name, []).append(FoundTask(job_id, TaskState(state), bool(without_data), object_))
    return found


_STORED = case((task.c.state == TaskState.SUCCEEDED, task.c.stored))
_FOUND = (task.c.job_id, task.c.state, task.c.no_data_at.is_not(None), _STORED)


@lru_cache
def _by_key(dialect_name: str) -> Select[Any]:
    keys, jobs = KEYS.clause(dialect_name), JOBS.clause(dialect_name)
    return select(task.c.reference_key, *_FOUND).where(
        task.c.job_id == jobs.c.job_id, task.c.reference_key == keys.c.reference_key
    )


@lru_cache
def _by_id(dialect_name: str) -> Select[Any]:
    ids, jobs = IDS.clause(dialect_name), JOBS.clause(dialect_name)
    return select(task.c.reference_id, *_FOUND).where(
        task.c.job_id == jobs.c.job_id,
        task.c.reference_id == ids.c.reference_id,
        task.c.reference_version.is_not(None),
    )


async def artifacts_of(
    connection: AsyncConnection, stored: Sequence[StoredArtifact]
) -> dict[artifacts.ObjectName, FoundArtifact]:
    """The artifacts whose objects these are, whichever job or archive type they are of."""
    if not stored:
        return {}
    names = artifacts.NAMES.bind(connection, sorted({artifacts.object_name(each) for each in stored}))
    found = await connection.execute(_named(connection.dialect.name), names)
    return {artifacts.ObjectName(*place): FoundArtifact(id_, job_id) for id_, job_id, *place in found}


@lru_cache
def _named(dialect_name: str) -> Select[Any]:
    names = artifacts.NAMES.clause(dialect_name)
    place = (artifact.c.bucket, artifact.c.object_key, artifact.c.version_id)
    return select(artifact.c.id, artifact.c.job_id, *place).where(artifacts.is_named(names))


async def objects(connection: AsyncConnection, ids: Sequence[int]) -> dict[int, tuple[StoredObject, Any]]:
    """The object of each artifact, and until when it is to be locked (None: locking was off)."""
    statement = select(artifact.c.id, artifact.c.retain_until, *COLUMNS).where(artifact.c.id.in_(ids))
    return {row.id: (stored_object(row), row.retain_until) for row in await connection.execute(statement)}
