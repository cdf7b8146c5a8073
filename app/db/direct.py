"""Executes statements that are kept on the driver's own connection: SQLAlchemy compiles each of them once.

Its execution of a statement costs five times what the driver does, and a task takes part in some twenty.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import asyncpg
from sqlalchemy import Dialect, TextClause
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

OPTION = "direct"
"""The execution option of connections on which this module uses the driver. On the others SQLAlchemy begins
transactions of which the driver would not know."""

Processor = Callable[[Any], Any]


async def fetch(connection: AsyncConnection, statement: Any, parameters: Mapping[str, Any]) -> Sequence[Any]:
    """All rows of a statement; each can be unpacked. The statement is one that is kept (`lru_cache`, a constant).

    Raises what SQLAlchemy raises for the same statement.
    """
    if not is_direct(connection):
        return (await connection.execute(statement, parameters)).all()
    made = _compiled(statement, connection.dialect)
    with driver_errors(made.sql):
        records = await driver_of(connection).fetch(made.sql, *made.arguments(parameters))
    return made.rows(records)


async def change(connection: AsyncConnection, statement: Any, parameters: Mapping[str, Any]) -> int:
    """The number of rows that a statement without results changed; else as `fetch`."""
    if not is_direct(connection):
        return (await connection.execute(statement, parameters)).rowcount
    made = _compiled(statement, connection.dialect)
    with driver_errors(made.sql):
        done: str = await driver_of(connection).execute(made.sql, *made.arguments(parameters))
    return int(done.rpartition(" ")[2])


async def command(connection: AsyncConnection, sql: str) -> None:
    """BEGIN, COMMIT or ROLLBACK, on a connection with `OPTION`."""
    with driver_errors(sql):
        await driver_of(connection).execute(sql)


def is_direct(connection: AsyncConnection) -> bool:
    return bool(connection.sync_connection and connection.sync_connection.get_execution_options().get(OPTION))


def driver_of(connection: AsyncConnection) -> Any:
    """The `asyncpg.Connection` behind an open connection."""
    assert connection.sync_connection is not None  # noqa: S101 # it is open
    return connection.sync_connection.connection.driver_connection


@contextmanager
def driver_errors(sql: str) -> Iterator[None]:
    """Raises the driver's errors in SQLAlchemy's words, so that conflicts and outages are known as such."""
    try:
        yield
    except asyncpg.IntegrityConstraintViolationError as error:
        raise IntegrityError(sql, None, error) from error
    except asyncpg.PostgresError as error:
        raise DBAPIError(sql, None, error) from error
    except (asyncpg.InterfaceError, asyncpg.InternalClientError) as error:  # the latter: ended while it was not used
        raise InterfaceError(sql, None, error) from error


@dataclass(frozen=True, slots=True)
class _Compiled:
    """`binds`: name, value where none is given, and conversion of each parameter; `results`: the conversion of each
    column, empty where none needs any."""

    sql: str
    binds: tuple[tuple[str, Any, Processor | None], ...]
    results: tuple[Processor | None, ...]

    def arguments(self, parameters: Mapping[str, Any]) -> list[Any]:
        return [
            parameters.get(name, value) if convert is None else convert(parameters.get(name, value))
            for name, value, convert in self.binds
        ]

    def rows(self, records: Sequence[Any]) -> Sequence[Any]:
        if not self.results:
            return records
        return [
            [value if convert is None else convert(value) for value, convert in zip(record, self.results, strict=True)]
            for record in records
        ]


@lru_cache(maxsize=256)
def _compiled(statement: Any, dialect: Dialect) -> _Compiled:
    compiled = statement.compile(dialect=dialect)
    names: Sequence[str] = compiled.positiontup or ()
    binds = tuple(
        (name, compiled.params[name], _type(compiled.binds[name].type, dialect).bind_processor(dialect))
        for name in names
    )
    columns = () if isinstance(statement, TextClause) else statement.exported_columns
    results = tuple(_type(each.type, dialect).result_processor(dialect, None) for each in columns)
    return _Compiled(compiled.string, binds, results if any(results) else ())


def _type(of: TypeEngine[Any], dialect: Dialect) -> TypeEngine[Any]:
    return of.dialect_impl(dialect)
