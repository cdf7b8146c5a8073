"""The applied definitions of metadata: the keys of an archive type, each with its path, and since which revision."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Select, Text, bindparam, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import dialect
from app.db.metadata_tables import column, definition
from app.domain.definitions import DefinedKey

TYPE = bindparam("type", type_=Text)
# Statements of each batch of a run are built once and kept (lru_cache).


@dataclass(frozen=True, slots=True)
class AppliedDefinition:
    archive_type: str
    message_type: str
    config_id: str | None
    revision: int
    keys: tuple[DefinedKey, ...]


async def find(connection: AsyncConnection, archive_type: str) -> AppliedDefinition | None:
    head = (await connection.execute(_finding(), {"type": archive_type})).first()
    if head is None:
        return None
    rows = await connection.execute(_reading(), {"type": archive_type})
    return AppliedDefinition(
        archive_type, head.message_type, head.config_id, head.revision, tuple(DefinedKey(*row) for row in rows)
    )


@lru_cache
def _finding() -> Select[Any]:
    return select(definition).where(definition.c.archive_type == TYPE)


@lru_cache
def _reading() -> Select[Any]:
    return (
        select(column.c.key, column.c.path, column.c.path_revision, column.c.active)
        .where(column.c.archive_type == TYPE)
        .order_by(column.c.place)
    )


async def with_active_keys(connection: AsyncConnection) -> Sequence[str]:
    """The archive types that have at least one key that was not removed."""
    statement = select(column.c.archive_type).where(column.c.active).distinct().order_by(column.c.archive_type)
    return (await connection.execute(statement)).scalars().all()


async def all_keys(connection: AsyncConnection) -> Sequence[tuple[str, str | None, str, bool]]:
    """(message type, config id, key, active) of every key there is, for lists of columns."""
    statement = (
        select(definition.c.message_type, definition.c.config_id, column.c.key, column.c.active)
        .where(column.c.archive_type == definition.c.archive_type)
        .order_by(definition.c.archive_type, column.c.place)
    )
    return [(row.message_type, row.config_id, row.key, row.active) for row in await connection.execute(statement)]


async def replace(connection: AsyncConnection, new: AppliedDefinition, now: datetime) -> None:
    """Replaces the applied definition; the caller holds `LOCK_DEFINITION`."""
    head = (
        dialect.insert(connection, definition)
        .values(
            archive_type=new.archive_type,
            message_type=new.message_type,
            config_id=new.config_id,
            revision=new.revision,
            applied_at=now,
        )
        .on_conflict_do_update(
            index_elements=[definition.c.archive_type], set_={"revision": new.revision, "applied_at": now}
        )
    )
    await connection.execute(head)
    await connection.execute(delete(column).where(column.c.archive_type == new.archive_type))
    rows = [
        {
            "archive_type": new.archive_type,
            "key": key.key,
            "path": key.path,
            "path_revision": key.path_revision,
            "active": key.active,
            "place": place,
        }
        for place, key in enumerate(new.keys)
    ]
    if rows:
        await connection.execute(column.insert(), rows)
