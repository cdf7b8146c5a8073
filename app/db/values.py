"""Queries of one batch of a run: the artifacts it covers, and the values it writes under the rule of its mode."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    Executable,
    Integer,
    Select,
    Text,
    Update,
    Uuid,
    and_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningInsert

from app.db import dialect
from app.db.artifacts import TEXT_HEAD
from app.db.metadata_tables import Id, Number, artifact, column, error, run, value
from app.db.runs import BatchRow, candidates
from app.db.stored_objects import COLUMNS, stored_object
from app.domain.artifacts import StoredObject
from app.domain.extraction import MetadataValue
from app.domain.runs import Mode, Run


class Covered(NamedTuple):
    """An artifact that a batch covers."""

    id: int
    object: StoredObject


async def covered(connection: AsyncConnection, row: BatchRow) -> list[Covered]:
    """The artifacts of a batch that its run must still read; the others are up to date already."""
    statement = (
        select(artifact.c.id, *COLUMNS)
        .where(candidates(row.run), artifact.c.id > row.after_id, artifact.c.id <= row.to_id)
        .order_by(artifact.c.id)
    )
    return [Covered(found.id, stored_object(found)) for found in await connection.execute(statement)]


NEW = dialect.Rows(
    "new",
    [("artifact_id", Id), ("key", Text), ("json", Text), ("kind", Text), ("text", Text), ("number", Number)],
    as_json=True,
)
"""What a value of a batch is made of; the rest of its row is the same for all, or follows from these."""

SLICE = 4 * 1024 * 1024
"""Bytes of JSON that one statement writes, nearly: making its parameter takes some 20 ms of the event loop."""


async def write(
    connection: AsyncConnection, of: Run, extracted: Mapping[int, Mapping[str, MetadataValue]]
) -> tuple[int, int]:
    """Writes the values of artifacts (id → key → value); returns how many artifacts it changed and nulls it wrote.

    A new key fills only what is absent; a stale value, of an older path, is overwritten; mode `all` overwrites what
    differs; and no value replaces one of a higher revision.
    """
    changed = nulls = 0
    statement = _writing(connection.dialect.name, of.mode)
    async with dialect.references_kept(connection):
        for records in _slices(extracted):
            parameters = {**NEW.bind(connection, records), "archive_type": of.archive_type, "made_with": of.revision}
            written = (await connection.execute(statement, parameters)).all()
            if dialect.is_postgresql(connection):
                changed += written[0].changed
                nulls += written[0].nulls
            else:
                changed += len({row.artifact_id for row in written})
                nulls += sum(row.kind == "null" for row in written)
    return changed, nulls


def _slices(extracted: Mapping[int, Mapping[str, MetadataValue]]) -> Iterator[list[tuple[Any, ...]]]:
    """Rows of `NEW`, those of an artifact together, in lists that end with the one that makes them `SLICE` bytes."""
    records: list[tuple[Any, ...]] = []
    size = 0
    for artifact_id, values in sorted(extracted.items()):
        for key, found in sorted(values.items()):
            records.append((artifact_id, key, found.json, found.kind, found.text, found.number))
            size += len(found.json)
        if size >= SLICE:
            yield records
            records, size = [], 0
    if records:
        yield records


@lru_cache
def _writing(dialect_name: str, mode: Mode) -> Executable:
    """The statement that writes the rows. It returns the written rows; on PostgreSQL only their counts, which saves
    network traffic."""
    rows = NEW.clause(dialect_name)
    made = {
        **{name: rows.c[name] for name, _ in NEW.columns},
        "text_head": func.substr(rows.c.text, 1, TEXT_HEAD),
        "revision": bindparam("made_with", type_=Integer),
    }
    # WHERE true: without it SQLite reads ON CONFLICT as a join condition.
    statement = dialect.insert_on(dialect_name, value).from_select(
        list(made), select(*made.values()).where(rows.c.artifact_id > 0)
    )
    key = [value.c.artifact_id, value.c.key]
    excluded = statement.excluded
    newer = value.c.revision <= excluded.revision
    stale = value.c.revision < (
        select(column.c.path_revision)
        .where(
            column.c.archive_type == bindparam("archive_type", type_=Text),
            column.c.key == literal_column("excluded.key"),
        )
        .scalar_subquery()
    )
    differs = value.c.json != excluded.json
    match mode:
        case Mode.MISSING:
            statement = statement.on_conflict_do_nothing(index_elements=key)
        case _:
            statement = statement.on_conflict_do_update(
                index_elements=key,
                set_={name: excluded[name] for name in made if name not in ("artifact_id", "key")},
                where=and_(newer, or_(stale, differs) if mode is Mode.ALL else stale),
            )
    returning: ReturningInsert[Any] = statement.returning(value.c.artifact_id, value.c.kind)
    if dialect_name != "postgresql":
        return returning
    written = returning.cte("written")
    return select(
        func.count(written.c.artifact_id.distinct()).label("changed"),
        func.count().filter(written.c.kind == "null").label("nulls"),
    )


IDS = dialect.Rows("ids", [("id", Id)])


async def raise_revision(connection: AsyncConnection, of: Run, ids: Sequence[int]) -> None:
    """Sets the revision of artifacts to that of the run."""
    if ids:
        parameters = {**IDS.bind(connection, [(id_,) for id_ in ids]), "raised": of.revision}
        await connection.execute(_raising(connection.dialect.name), parameters)


@lru_cache
def _raising(dialect_name: str) -> Update:
    ids, revision = IDS.clause(dialect_name), bindparam("raised", type_=Integer)
    return update(artifact).where(artifact.c.id == ids.c.id, artifact.c.revision < revision).values(revision=revision)


async def note_errors(
    connection: AsyncConnection,
    of: Run,
    ids: Sequence[int],
    unread: Collection[str],
    errors: Mapping[int, str],
    now: datetime,
) -> None:
    """Records which artifacts failed. Earlier failures of the artifacts that were read now are resolved.

    An earlier failure stays when its run had to fill one of the keys in `unread`: active keys that were not read now.
    """
    well = [(id_,) for id_ in ids if id_ not in errors]
    if well:
        dialect_name, named = connection.dialect.name, IDS.bind(connection, well)
        failed = (await connection.execute(_failed(dialect_name), named)).all()
        resolved = [run_id for run_id, keys in failed if not {*json.loads(keys)} & {*unread}]
        if resolved:
            await connection.execute(_resolving(dialect_name), {**named, "resolved_runs": resolved})
    rows: list[dict[str, Any]] = [
        {"run_id": of.id, "artifact_id": id_, "message": message, "at": now} for id_, message in sorted(errors.items())
    ]
    if rows:
        await connection.execute(error.insert(), rows)


@lru_cache
def _failed(dialect_name: str) -> Select[Any]:
    """The runs in which one of the artifacts has an unresolved failure, with the keys of these runs."""
    ids = IDS.clause(dialect_name)
    unresolved = error.c.artifact_id == ids.c.id, error.c.resolved.is_(False)
    return select(run.c.id, run.c["keys"]).where(run.c.id == error.c.run_id, *unresolved).distinct()


@lru_cache
def _resolving(dialect_name: str) -> Update:
    ids, runs = IDS.clause(dialect_name), bindparam("resolved_runs", type_=Uuid, expanding=True)
    return (
        update(error)
        .where(error.c.artifact_id == ids.c.id, error.c.run_id.in_(runs), error.c.resolved.is_(False))
        .values(resolved=True)
    )
