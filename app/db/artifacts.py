"""Queries on artifacts and their metadata values as they are archived. None commits."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    Boolean,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Text,
    Update,
    Uuid,
    and_,
    or_,
    select,
    text,
    update,
)
from sqlalchemy import insert as insert_into
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningInsert

from app.db import dialect, direct
from app.db.metadata_tables import CURRENT, Id, Number, artifact, value
from app.db.tables import UtcDateTime
from app.domain.artifacts import ArchivedArtifact, StoredArtifact
from app.domain.extraction import MetadataValue
from app.domain.identity import reference_key

TEXT_HEAD = 200
"""Characters of a text that the index holds."""

ARTIFACTS = dialect.Rows(
    "artifacts",
    [
        ("archive_type", Text),
        ("message_type", Text),
        ("config_id", Text),
        ("reference_id", Text),
        ("reference_version", Integer),
        ("reference_key", Uuid),
        ("system", Text),
        ("schema_name", Text),
        ("schema_version", Integer),
        ("content_type", Text),
        ("size", Id),
        ("hash", Text),
        ("bucket", Text),
        ("object_key", Text),
        ("version_id", Text),
        ("archived_at", UtcDateTime),
        ("retain_until", UtcDateTime),
        ("job_id", Uuid),
        ("revision", Integer),
        ("superseded", Boolean),
    ],
    as_json=True,
)
NAMES = dialect.Rows("names", [("bucket", Text), ("object_key", Text), ("version_id", Text)], as_json=True)
LOCKS = dialect.Rows("locks", [("bucket", Text), ("object_key", Text), ("version_id", Text), ("until", UtcDateTime)])
PLACES = dialect.Rows("places", [("archive_type", Text), ("reference_key", Uuid)], as_json=True)


class ObjectName(NamedTuple):
    """The place of a stored object, which is unique."""

    bucket: str
    key: str
    version_id: str


async def insert(connection: AsyncConnection, archived: Sequence[ArchivedArtifact]) -> None:
    """Inserts a row for each stored object that has none yet, with its metadata values.

    The newest object of an id and version is the current one. Two processes that archive the same reference at the same
    time meet at the unique index of the current objects: one of them is tried again (`database.is_conflict`).
    """
    if not archived:
        return
    known = await _known(connection, archived)
    new: dict[ObjectName, ArchivedArtifact] = {}
    for each in archived:
        if object_name(each.stored) not in known:
            new.setdefault(object_name(each.stored), each)
    await _lengthen(connection, [each for each in archived if object_name(each.stored) in known])
    if not new:
        return
    superseded = await _supersede(connection, list(new.values()))
    rows = [_row(each, name in superseded) for name, each in new.items()]
    inserted = await direct.fetch(connection, _inserting(connection.dialect.name), ARTIFACTS.bind(connection, rows))
    ids = {ObjectName(*name): id_ for id_, *name in inserted}
    records = (
        value_record(ids[name], key, each.revision, found)
        for name, each in new.items()
        for key, found in each.values.items()
    )
    await insert_values(connection, records)


def object_name(stored: StoredArtifact) -> ObjectName:
    return ObjectName(stored.bucket, stored.key, stored.version_id)


def is_named(rows: FromClause) -> ColumnElement[bool]:
    """The artifact whose object one of the rows names (`bucket`, `object_key`, `version_id`)."""
    return and_(
        artifact.c.bucket == rows.c.bucket,
        artifact.c.object_key == rows.c.object_key,
        artifact.c.version_id == rows.c.version_id,
    )


async def _lengthen(connection: AsyncConnection, adopted: Sequence[ArchivedArtifact]) -> None:
    """Updates the row of an object whose lock a later job lengthened."""
    until = {
        object_name(each.stored): each.stored.retain_until for each in adopted if each.stored.retain_until is not None
    }
    if until:
        rows = [(*name, until[name]) for name in sorted(until)]
        await direct.change(connection, _lengthening(connection.dialect.name), LOCKS.bind(connection, rows))


@lru_cache
def _lengthening(dialect_name: str) -> Update:
    locks = LOCKS.clause(dialect_name)
    return (
        update(artifact)
        .where(
            is_named(locks),
            or_(artifact.c.retain_until.is_(None), artifact.c.retain_until < locks.c.until),
        )
        .values(retain_until=locks.c.until)
    )


async def _known(connection: AsyncConnection, archived: Sequence[ArchivedArtifact]) -> set[ObjectName]:
    """Objects that already have a row, as an earlier job stored them and this job adopted them."""
    names = NAMES.bind(connection, sorted({object_name(each.stored) for each in archived}))
    return {ObjectName(*row) for row in await direct.fetch(connection, _knowing(connection.dialect.name), names)}


@lru_cache
def _knowing(dialect_name: str) -> Select[Any]:
    names = NAMES.clause(dialect_name)
    return select(artifact.c.bucket, artifact.c.object_key, artifact.c.version_id).where(is_named(names))


@lru_cache
def _inserting(dialect_name: str) -> ReturningInsert[Any]:
    rows = ARTIFACTS.clause(dialect_name)
    names = [name for name, _ in ARTIFACTS.columns]
    return (
        insert_into(artifact)
        .from_select(names, select(*(rows.c[name] for name in names)))
        .returning(artifact.c.id, artifact.c.bucket, artifact.c.object_key, artifact.c.version_id)
    )


async def _supersede(connection: AsyncConnection, new: Sequence[ArchivedArtifact]) -> set[ObjectName]:
    """Marks rows that a new row supersedes; returns the new rows that are superseded from the start."""
    newest: dict[tuple[str, UUID], ArchivedArtifact] = {}
    for each in new:
        place = (each.archive_type, UUID(bytes=reference_key(each.reference)))
        best = newest.setdefault(place, each)
        if each.stored.archived_at > best.stored.archived_at:
            newest[place] = each
    current = await direct.fetch(connection, _current(connection.dialect.name), PLACES.bind(connection, list(newest)))
    old = []
    for id_, archive_type, key, archived_at in current:
        best = newest[(archive_type, key)]
        if archived_at > best.stored.archived_at:
            del newest[(archive_type, key)]
        else:
            old.append(id_)
    if old:
        await connection.execute(update(artifact).where(artifact.c.id.in_(old)).values(superseded=True))
    kept = {object_name(each.stored) for each in newest.values()}
    return {object_name(each.stored) for each in new} - kept


@lru_cache
def _current(dialect_name: str) -> Select[Any]:
    places = PLACES.clause(dialect_name)
    return (
        select(artifact.c.id, artifact.c.archive_type, artifact.c.reference_key, artifact.c.archived_at)
        .where(
            artifact.c.archive_type == places.c.archive_type,
            artifact.c.reference_key == places.c.reference_key,
            text(CURRENT),
        )
        .order_by(artifact.c.id)
    )


def _row(archived: ArchivedArtifact, superseded: bool) -> tuple[Any, ...]:
    stored, reference = archived.stored, archived.reference
    return (
        archived.archive_type,
        archived.message_type,
        archived.config_id,
        reference.id,
        reference.version,
        UUID(bytes=reference_key(reference)),
        stored.system,
        stored.schema,
        stored.schema_version,
        stored.content_type,
        stored.size,
        stored.sha256,
        stored.bucket,
        stored.key,
        stored.version_id,
        stored.archived_at,
        stored.retain_until,
        archived.job_id,
        archived.revision,
        superseded,
    )


TYPES = dialect.Rows("types", [("archive_type", Text)])


async def last_archived(connection: AsyncConnection, archive_types: Sequence[str]) -> dict[str, datetime]:
    """When the newest artifact of each was archived: that with the highest id. Those without any are absent."""
    if not archive_types:
        return {}
    statement = _last_archived(connection.dialect.name)
    rows = await connection.execute(statement, TYPES.bind(connection, [(each,) for each in archive_types]))
    return {row.archive_type: row.archived_at for row in rows}


@lru_cache
def _last_archived(dialect_name: str) -> Select[Any]:
    types = TYPES.clause(dialect_name)
    newest = select(artifact.c.id).where(artifact.c.archive_type == types.c.archive_type)
    newest_id = newest.order_by(artifact.c.id.desc()).limit(1).scalar_subquery()
    return select(artifact.c.archive_type, artifact.c.archived_at).where(
        artifact.c.id.in_(select(newest_id).select_from(types))
    )


VALUES = dialect.Rows(
    "new",
    [
        ("artifact_id", Id),
        ("key", Text),
        ("revision", Integer),
        ("json", Text),
        ("kind", Text),
        ("text", Text),
        ("text_head", Text),
        ("number", Number),
    ],
)


def value_record(artifact_id: int, key: str, revision: int, found: MetadataValue) -> tuple[Any, ...]:
    """A row of `artifact_metadata`, in the order of `VALUES`."""
    head = None if found.text is None else found.text[:TEXT_HEAD]
    return (artifact_id, key, revision, found.json, found.kind, found.text, head, found.number)


async def insert_values(connection: AsyncConnection, records: Iterable[tuple[Any, ...]]) -> None:
    await dialect.insert_many(connection, value, [name for name, _ in VALUES.columns], records)
