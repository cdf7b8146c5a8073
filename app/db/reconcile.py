"""Look-ups of many references at once: their current artifacts, and their tasks in the jobs of a message."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import (
    Column,
    ColumnElement,
    FromClause,
    Select,
    Text,
    bindparam,
    case,
    cast,
    column,
    func,
    literal_column,
    select,
    text,
    true,
    type_coerce,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import artifacts, dialect
from app.db.metadata_tables import CURRENT, artifact
from app.db.stored_objects import COLUMNS, stored_object
from app.db.tables import job, live_task, task
from app.db.tasks import from_json
from app.domain.artifacts import StoredArtifact, StoredObject
from app.domain.identity import live_subject, reference_key
from app.domain.jobs import JobKind, Reference, TaskState

JOBS_AT_ONCE = 100
"""Jobs that one query looks through: with 2,000 references it looks into an index 200,000 times, in about a second."""

Key = str
"""`domain.identity.reference_key` as this database writes it: texts cost a tenth of UUIDs, and there are millions."""


def keys_of(connection: AsyncConnection, references: Iterable[Reference]) -> list[Key]:
    keys = [reference_key(each).hex() for each in references]
    if not dialect.is_postgresql(connection):
        return keys
    return [f"{key[:8]}-{key[8:12]}-{key[12:16]}-{key[16:20]}-{key[20:]}" for key in keys]


def _looked_up(
    dialect_name: str,
    columns: Sequence[ColumnElement[Any]],
    wanted: Mapping[str, Column[Any]],
    *also: ColumnElement[bool],
    source: FromClause | None = None,
) -> Select[Any]:
    """The rows in which each of the wanted columns has one of the values of its parameter.

    Said so that both databases look each value up in the index over these columns, whatever their statistics say:
    SQLite reads a whole archive type for a join with rows of parameters, and PostgreSQL for a list of values of a table
    that was filled a minute ago. Each parameter is one text (`_bound`): arrays of a thousand texts cost the driver of
    PostgreSQL 6 ms.
    """
    selected = select(*columns) if source is None else select(*columns).select_from(source)
    if dialect_name != "postgresql":
        lists = {
            name: select(func.json_each(bindparam(name, type_=Text)).table_valued("value").c.value) for name in wanted
        }
        return selected.where(*(column.in_(lists[name]) for name, column in wanted.items()), *also)
    outer: FromClause | None = None
    conditions = []
    for name, kept in wanted.items():
        values = cast(func.string_to_array(bindparam(name, type_=Text), "\n"), postgresql.ARRAY(kept.type))
        given = func.unnest(values).table_valued(column("value", kept.type), name=f"given_{name}").render_derived()
        conditions.append(kept == given.c.value)
        outer = given if outer is None else outer.join(given, true())
    if outer is None:
        raise ValueError("nothing is wanted")
    apart: ColumnElement[int] = literal_column("0")  # an OFFSET keeps the planner from taking it apart
    found = selected.where(*conditions, *also).offset(apart).lateral("found")
    return select(*found.c).select_from(outer.join(found, true()))


def _bound(connection: AsyncConnection, values: Iterable[str]) -> str:
    """No value has a line break: ids have no control characters, and names of archive types none either."""
    return "\n".join(values) if dialect.is_postgresql(connection) else orjson.dumps(list(values)).decode()


def _text(column: Column[UUID], dialect_name: str) -> ColumnElement[str]:
    return cast(column, Text) if dialect_name == "postgresql" else type_coerce(column, Text)


_job_id = lru_cache(maxsize=10_000)(UUID)


def _plain(id_: UUID) -> UUID:
    """Not the driver's own subclass, which orjson refuses."""
    return _job_id(str(id_))


class ArtifactOfReference(NamedTuple):
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


async def current(
    connection: AsyncConnection, types: Sequence[str], keys: Iterable[Key]
) -> dict[Key, ArtifactOfReference]:
    """The current artifact by key; of several archive types the newest."""
    if not types:
        return {}
    given = {"keys": _bound(connection, keys), "types": _bound(connection, types)}
    rows = (await connection.execute(_current(connection.dialect.name), given)).all()
    if len(types) > 1:
        rows = sorted(rows, key=lambda row: int(row[1]))
    return {key: ArtifactOfReference(id_, _job_id(job_id)) for key, id_, job_id in rows}


@lru_cache
def _current(dialect_name: str) -> Select[Any]:
    columns = (
        _text(artifact.c.reference_key, dialect_name).label("key"),
        artifact.c.id,
        _text(artifact.c.job_id, dialect_name).label("job"),
    )
    wanted = {"types": artifact.c.archive_type, "keys": artifact.c.reference_key}
    return _looked_up(dialect_name, columns, wanted, text(CURRENT))  # type: ignore[arg-type]


async def current_of_any_version(
    connection: AsyncConnection, types: Sequence[str], ids: Collection[str]
) -> dict[str, ArtifactOfReference]:
    """The current artifact of the highest version by reference id."""
    if not ids or not types:
        return {}
    found = await connection.execute(_of_any_version(connection.dialect.name), {"ids": _bound(connection, ids)})
    ordered = sorted(
        (row for row in found if row.archive_type in types), key=lambda row: (row.reference_version, row.id)
    )
    return {row.reference_id: ArtifactOfReference(row.id, _plain(row.job_id)) for row in ordered}


@lru_cache
def _of_any_version(dialect_name: str) -> Select[Any]:
    """Whatever their archive type: with a condition on it SQLite would go by the index of that."""
    columns = (
        artifact.c.archive_type,
        artifact.c.reference_id,
        artifact.c.reference_version,
        artifact.c.id,
        artifact.c.job_id,
    )
    has_version = artifact.c.reference_version.is_not(None)
    return _looked_up(dialect_name, columns, {"ids": artifact.c.reference_id}, has_version, text(CURRENT))  # type: ignore[arg-type]


async def tasks(
    connection: AsyncConnection, job_ids: Sequence[UUID], keys: Collection[Key]
) -> dict[Key, list[FoundTask]]:
    """The tasks by key, in the order of `job_ids`."""
    return await _tasks(connection, job_ids, keys, _by_key) if keys else {}


async def has_live_jobs(connection: AsyncConnection, message: str) -> bool:
    """Whether any job of the message is live: `tasks` does not find their tasks, `live_tasks` does."""
    statement = select(job.c.id).where(job.c.message == message, job.c.kind == JobKind.LIVE).limit(1)
    return (await connection.execute(statement)).first() is not None


async def live_tasks(
    connection: AsyncConnection, types: Sequence[str], wanted: Mapping[Key, Reference]
) -> dict[Key, list[FoundTask]]:
    """The tasks that messages made for these references, by key, the newest first."""
    keys = {live_subject(type_, reference): key for key, reference in wanted.items() for type_ in types}
    if not keys:
        return {}
    found: dict[Key, list[FoundTask]] = {}
    subjects = _bound(connection, (each.hex for each in keys))
    rows = (await connection.execute(_live(connection.dialect.name), {"subjects": subjects})).all()
    for subject, job_id, _, _, state, without_data, stored in sorted(rows, key=lambda row: row[2:4], reverse=True):
        object_ = None if stored is None else from_json(stored)
        found.setdefault(keys[subject], []).append(
            FoundTask(_plain(job_id), TaskState(state), bool(without_data), object_)
        )
    return found


@lru_cache
def _live(dialect_name: str) -> Select[Any]:
    of_live = (live_task.c.subject, task.c.job_id.label("job"), live_task.c.day, live_task.c.position)
    both = live_task.join(task, (task.c.job_id == live_task.c.job_id) & (task.c.position == live_task.c.position))
    return _looked_up(dialect_name, (*of_live, *_FOUND), {"subjects": live_task.c.subject}, source=both)


async def tasks_of_any_version(
    connection: AsyncConnection, job_ids: Sequence[UUID], ids: Collection[str]
) -> dict[str, list[FoundTask]]:
    """The tasks that have a version, by reference id, in the order of `job_ids`."""
    return await _tasks(connection, job_ids, ids, _by_id) if ids else {}


async def _tasks(
    connection: AsyncConnection,
    job_ids: Sequence[UUID],
    wanted: Iterable[str],
    query: Callable[[str], Select[Any]],
) -> dict[str, list[FoundTask]]:
    found: dict[str, list[FoundTask]] = {}
    given = {"wanted": _bound(connection, wanted)}
    for begin in range(0, len(job_ids), JOBS_AT_ONCE):
        some = {id_: place for place, id_ in enumerate(job_ids[begin : begin + JOBS_AT_ONCE])}
        jobs = _bound(connection, (id_.hex for id_ in some))
        rows = await connection.execute(query(connection.dialect.name), {**given, "jobs": jobs})
        for name, job_id, state, without_data, stored in sorted(rows, key=lambda row: some[_job_id(row[1])]):
            object_ = None if stored is None else from_json(stored)
            found.setdefault(name, []).append(FoundTask(_job_id(job_id), TaskState(state), bool(without_data), object_))
    return found


_STORED = case((task.c.state == TaskState.SUCCEEDED, task.c.stored)).label("stored")
_FOUND = (task.c.state, task.c.no_data_at.is_not(None).label("without_data"), _STORED)


@lru_cache
def _by_key(dialect_name: str) -> Select[Any]:
    columns = (
        _text(task.c.reference_key, dialect_name).label("key"),
        _text(task.c.job_id, dialect_name).label("job"),
        *_FOUND,
    )
    return _looked_up(dialect_name, columns, {"jobs": task.c.job_id, "wanted": task.c.reference_key})


@lru_cache
def _by_id(dialect_name: str) -> Select[Any]:
    columns = (task.c.reference_id, _text(task.c.job_id, dialect_name).label("job"), *_FOUND)
    wanted = {"jobs": task.c.job_id, "wanted": task.c.reference_id}
    return _looked_up(dialect_name, columns, wanted, task.c.reference_version.is_not(None))


async def artifacts_of(
    connection: AsyncConnection, stored: Sequence[StoredArtifact]
) -> dict[artifacts.ObjectName, ArtifactOfReference]:
    """The artifacts whose objects these are, whichever job or archive type they are of."""
    if not stored:
        return {}
    names = artifacts.NAMES.bind(connection, sorted({artifacts.object_name(each) for each in stored}))
    found = await connection.execute(_named(connection.dialect.name), names)
    return {artifacts.ObjectName(*place): ArtifactOfReference(id_, _plain(job_id)) for id_, job_id, *place in found}


@lru_cache
def _named(dialect_name: str) -> Select[Any]:
    names = artifacts.NAMES.clause(dialect_name)
    place = (artifact.c.bucket, artifact.c.object_key, artifact.c.version_id)
    return select(artifact.c.id, artifact.c.job_id, *place).where(artifacts.is_named(names))


async def objects(connection: AsyncConnection, ids: Sequence[int]) -> dict[int, tuple[StoredObject, Any]]:
    """The object of each artifact, and until when it is to be locked (None: locking was off)."""
    statement = select(artifact.c.id, artifact.c.retain_until, *COLUMNS).where(artifact.c.id.in_(ids))
    return {row.id: (stored_object(row), row.retain_until) for row in await connection.execute(statement)}
