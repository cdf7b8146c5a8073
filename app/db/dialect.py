"""All differences between PostgreSQL and SQLite, in one place."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain, islice
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import (
    Column,
    ColumnElement,
    FromClause,
    Table,
    Text,
    bindparam,
    cast,
    column,
    event,
    func,
    make_url,
    select,
    text,
    type_coerce,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.types import TypeEngine

from app.db import connect, direct
from app.db.tables import schema_lock
from app.domain.database_url import OPTIONS, DatabaseOptions, database_options

INSERT_BLOCK = 2_000
"""Rows that are made and inserted in one go, some 10 ms: then other work of the event loop gets its turn."""

ANALYZE_FROM = 1_000
"""Rows; reading all of a table smaller than this costs nothing."""

Columns = Sequence[tuple[str, "type[TypeEngine[Any]] | TypeEngine[Any]"]]


def options_of(url: str) -> DatabaseOptions:
    """The options in the query of a PostgreSQL URL."""
    return database_options(url.partition("?")[2])


def is_postgresql(connection: AsyncConnection) -> bool:
    return connection.dialect.name == "postgresql"


def open_engine(url: str, *, pool_size: int = 10, patient: bool = False) -> AsyncEngine:
    """Engine for `postgresql://…` or `sqlite:///file`; connects lazily.

    A statement may take 60 s; a `patient` engine has no time limit. Errors do not repeat the parameters of a statement:
    they are values of documents.
    """
    if url.startswith(("postgresql://", "postgres://")):
        address = make_url("postgresql+asyncpg://" + url.split("://", 1)[1])
        return create_async_engine(
            address.difference_update_query([name for name in OPTIONS if name not in ("host", "port")]),
            hide_parameters=True,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=10,
            pool_recycle=1800,
            connect_args=connect.arguments(options_of(url), patient=patient),
        )
    engine = create_async_engine(
        "sqlite+aiosqlite://" + url.removeprefix("sqlite:").removeprefix("//"),
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=0,
        connect_args={"timeout": 30},
    )
    event.listen(engine.sync_engine, "connect", _configure_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver begins no transactions of its own: `_begin_sqlite` does
    cursor = connection.cursor()
    # WAL: readers (reports) do not block the writer. FULL: what a 200 promised survives a power cut.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    # A transaction that begins as a reader and writes later can fail at once when another one wrote meanwhile.
    read = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if read else "BEGIN IMMEDIATE")


@dataclass(frozen=True)
class Rows:
    """Rows of parameters as a FROM clause: `unnest(…)` on PostgreSQL, `json_each(?)` on SQLite.

    The clause is made once and its rows are bound at each execution, so that statements over it can be kept: building
    one and finding its compiled form again costs more than executing it. `as_json`: one JSON text on PostgreSQL too;
    arrays of a thousand texts cost the driver 6 ms.
    """

    name: str
    columns: Columns
    as_json: bool = False

    def clause(self, dialect: str) -> FromClause:
        """For statements that are kept per dialect (`connection.dialect.name`)."""
        name, columns = self.name, self.columns
        if dialect == "postgresql" and self.as_json:
            rows = func.json_to_recordset(cast(bindparam(f"{name}_json", type_=Text), postgresql.JSON))
            records = rows.table_valued(*(column(of, _type(kind)) for of, kind in columns), name=name)
            return records.render_derived(with_types=True)
        if dialect == "postgresql":
            arrays = [bindparam(f"{name}_{of}", type_=postgresql.ARRAY(_type(kind))) for of, kind in columns]
            values = func.unnest(*arrays).table_valued(*(column(of, _type(kind)) for of, kind in columns), name=name)
            return values.render_derived()
        each = func.json_each(bindparam(f"{name}_json", type_=Text)).table_valued("value")
        picked = [
            type_coerce(func.json_extract(each.c.value, f"$[{i}]"), _type(kind)).label(of)
            for i, (of, kind) in enumerate(columns)
        ]
        return select(*picked).select_from(each).subquery(name)

    def bind(self, connection: AsyncConnection, values: Sequence[Sequence[Any]]) -> dict[str, Any]:
        """The parameters for these rows; there is at least one."""
        if is_postgresql(connection) and self.as_json:
            names = [of for of, _ in self.columns]
            objects = [dict(zip(names, row, strict=True)) for row in values]
            return {f"{self.name}_json": orjson.dumps(objects, default=str).decode()}
        if is_postgresql(connection):
            return {
                f"{self.name}_{of}": list(row)
                for (of, _), row in zip(self.columns, zip(*values, strict=True), strict=True)
            }
        return {f"{self.name}_json": json.dumps([[_plain(value) for value in row] for row in values])}


def _type(kind: type[TypeEngine[Any]] | TypeEngine[Any]) -> TypeEngine[Any]:
    return kind() if isinstance(kind, type) else kind


def _plain(value: Any) -> Any:
    if isinstance(value, UUID):
        return value.hex
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    if isinstance(value, Decimal):
        return float(value)
    return value


def insert(connection: AsyncConnection, table: Table) -> Any:
    """An INSERT that knows `on_conflict_do_nothing`."""
    return insert_on(connection.dialect.name, table)


def insert_on(dialect: str, table: Table) -> Any:
    """The same for statements that are kept per dialect."""
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


async def insert_many(
    connection: AsyncConnection, table: Table, columns: Sequence[str], records: Iterable[tuple[Any, ...]]
) -> None:
    """Many rows at once: COPY on PostgreSQL, executemany on SQLite, both in blocks so that the event loop turns.

    Without any row nothing is asked of the database.
    """
    rest = iter(records)
    if (first := next(rest, None)) is None:
        return
    rest = chain((first,), rest)
    if is_postgresql(connection):
        async with references_kept(connection):
            await _copy(connection, table, columns, rest)
        return
    while block := [dict(zip(columns, record, strict=True)) for record in islice(rest, INSERT_BLOCK)]:
        await connection.execute(table.insert(), block)


async def _copy(
    connection: AsyncConnection, table: Table, columns: Sequence[str], records: Iterator[tuple[Any, ...]]
) -> None:
    raw = direct.driver_of(connection)
    with direct.driver_errors(f"COPY {table.name}"):
        await raw.copy_records_to_table(table.name, records=_with_pauses(records), columns=list(columns))


async def _with_pauses(records: Iterator[tuple[Any, ...]]) -> AsyncIterator[tuple[Any, ...]]:
    """Gives the event loop its turn between records: the driver alone pauses only when its socket takes no more."""
    while block := list(islice(records, INSERT_BLOCK)):
        for record in block:
            yield record
        await asyncio.sleep(0)


PLANS_KEPT = text("SELECT set_config('plan_cache_mode', 'auto', true), set_config('enable_seqscan', 'off', true)")
PLANS_MADE = text(
    "SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('enable_seqscan', 'on', true)"
)


@contextlib.asynccontextmanager
async def references_kept(connection: AsyncConnection) -> AsyncIterator[None]:
    """Use it around inserts of many rows with a foreign key: PostgreSQL checks each row with a query.

    `plan_cache_mode` holds for those queries too, and planning one anew takes longer than inserting its row. A plan
    that is kept must not have been made for an empty table: it goes by the index.
    """
    if not is_postgresql(connection):
        yield
        return
    await connection.execute(PLANS_KEPT)
    yield
    await connection.execute(PLANS_MADE)


async def refresh_statistics(connection: AsyncConnection, table: Table, added: int) -> None:
    """Refreshes the statistics after inserts that make a table a tenth larger.

    Without this PostgreSQL plans with the old ones for a minute or more.
    """
    if not is_postgresql(connection) or added < ANALYZE_FROM:
        return
    known = text("SELECT reltuples FROM pg_class WHERE oid = CAST(:name AS regclass)")
    rows = (await connection.execute(known, {"name": table.name})).scalar_one()
    if added > rows / 10:
        await connection.execute(text(f"ANALYZE (SKIP_LOCKED) {table.name}"))


async def now(connection: AsyncConnection) -> datetime:
    """The time of the database's clock, which all processes share; that of SQLite is the clock of this machine."""
    if not is_postgresql(connection):
        return datetime.now(UTC)
    moment: datetime = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
    return moment


async def size(connection: AsyncConnection) -> int:
    """Bytes that the whole database takes; on SQLite without its journal."""
    if is_postgresql(connection):
        statement = "SELECT pg_database_size(current_database())"
    else:
        statement = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    size: int = (await connection.execute(text(statement))).scalar_one()
    return size


_LOCK = text("SELECT pg_advisory_xact_lock(:a, :b)")


async def lock(connection: AsyncConnection, purpose: int) -> None:
    """A lock that one process at a time holds until its transaction ends. On SQLite the write transaction is already
    such a lock."""
    if is_postgresql(connection):
        await direct.fetch(connection, _LOCK, {"a": schema_lock, "b": purpose})


LOCK_RELAY = 1
LOCK_LIFECYCLE = 2
LOCK_MIGRATION = 3
LOCK_DEFINITION = 4
LOCK_RUN_RELAY = 5
LOCK_EVENT_RELAY = 6
LOCK_PROOFS = 8
LOCK_LIVE_RELAY = 9


def begins_with(connection: AsyncConnection, of: ColumnElement[str], prefix: str) -> list[ColumnElement[bool]]:
    """Conditions for texts with this beginning, by code points, for an index with `text_pattern_ops`."""
    at_least, below = ("~>=~", "~<~") if is_postgresql(connection) else (">=", "<")
    end = _behind(prefix)
    conditions: list[ColumnElement[bool]] = [of.op(at_least, is_comparison=True)(prefix)]
    if end is not None:
        conditions.append(of.op(below, is_comparison=True)(end))
    return conditions


def by_code_points(connection: AsyncConnection, of: Column[str]) -> list[ColumnElement[Any]]:
    """The order of such an index."""
    return [text(f"{of.name} USING ~<~")] if is_postgresql(connection) else [of]  # type: ignore[list-item]


def _behind(prefix: str) -> str | None:
    """The first text after all texts with this beginning; None when no text is greater."""
    for place in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[place]) + 1
        if code == 0xD800:  # no text has half characters
            code = 0xE000
        if code <= 0x10FFFF:
            return prefix[:place] + chr(code)
    return None
