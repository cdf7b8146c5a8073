"""The database as a resource: transactions that are tried again, outages that are named, readers that block nobody."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.db.dialect import open_engine
from app.domain.errors import Unavailable

T = TypeVar("T")

CONFLICT_TRIES = 5
"""Deadlock and serialization errors are tried again: batches lock in one order, but two statements can still meet."""

_CONFLICTS = {"40001", "40P01", "55P03"}
_RACES = ("uq_artifact_object", "uq_artifact_current", "uq_metadata_run_automatic")
"""Unique indexes on which two transactions meet that each looked before the other wrote; the second look finds it."""
_OUTAGES = ("08", "53", "55", "57", "58", "28", "3D", "25006", "42501", "42P01", "42703")
"""SQLSTATE classes that say nothing about our statement: connection, resources, maintenance (no connections are
allowed), shutdown or cancelled by an operator, system, login, read-only, rights that were taken away.

A table or column that is missing is one that has not been migrated yet: requests can come before `--migrate` is done.
"""


class Database:
    """One engine. `run` is one transaction, tried again on conflicts; `reading` never holds up a writer.

    Raises `Unavailable("database", reason)` when the server cannot be reached or refuses everyone.
    """

    def __init__(self, url: str, *, pool_size: int = 10, patient: bool = False) -> None:
        self._url = url
        self.engine: AsyncEngine = open_engine(url, pool_size=pool_size, patient=patient)
        self._single = self.engine
        if self.engine.dialect.name == "postgresql":
            self._single = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._writer = asyncio.Lock() if self.engine.dialect.name == "sqlite" else None

    def patient(self) -> "Database":
        """Another engine to the same database, whose statements may take as long as they take. To be closed."""
        return Database(self._url, pool_size=1, patient=True)

    async def run(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """`work` in one transaction, committed when it returns. It may be called again: it must not have effects."""
        return await self._run(self.engine, work)

    async def _run(self, engine: AsyncEngine, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        for tries in range(1, CONFLICT_TRIES + 1):
            try:
                # SQLite has one writer at a time; waiting here is fair and costs no busy-waiting.
                async with self._writer or contextlib.nullcontext(), engine.begin() as connection:
                    return await work(connection)
            except Exception as error:
                if is_conflict(error) and tries < CONFLICT_TRIES:
                    await asyncio.sleep(0.01 * 2**tries)
                    continue
                raise translate(error) from error
        raise AssertionError("unreachable")

    async def once(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Like `run`, for `work` of a single statement: a transaction by itself, without BEGIN and COMMIT."""
        return await self._run(self._single, work)

    @contextlib.asynccontextmanager
    async def reading(self, *, brief: bool = False) -> AsyncIterator[AsyncConnection]:
        """A connection for queries only; nothing is committed.

        `brief`: each query a transaction by itself, without BEGIN and ROLLBACK; not for answers that stream.
        """
        try:
            async with (self._single if brief else self.engine).connect() as plain:
                yield await plain.execution_options(read_only=True)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            raise translate(error) from error

    async def ping(self) -> None:
        async with self.reading() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        await self.engine.dispose()


def is_conflict(error: BaseException) -> bool:
    if not isinstance(error, DBAPIError):
        return False
    told = str(error.orig)
    if isinstance(error, IntegrityError):
        return any(f'"{index}"' in told for index in _RACES)
    return _sqlstate(error) in _CONFLICTS or "database is locked" in told


def translate(error: BaseException) -> BaseException:
    """Outages become `Unavailable`; everything else (a bug, a broken constraint) stays what it is."""
    if isinstance(error, PoolTimeout):
        return Unavailable("database", "no connection free within 10 s")
    if isinstance(error, (OSError, TimeoutError)):
        return Unavailable("database", f"cannot be reached ({_cause(error)})")
    if isinstance(error, DBAPIError):
        state = _sqlstate(error)
        if state is not None:
            if state.startswith(_OUTAGES) or state in _CONFLICTS:
                return Unavailable("database", f"{_cause(error.orig)} ({state})")
        elif error.connection_invalidated or isinstance(error, (OperationalError, InterfaceError)):
            return Unavailable("database", _cause(error.orig))
    return error


def _sqlstate(error: DBAPIError) -> str | None:
    state = getattr(error.orig, "sqlstate", None)
    return state if isinstance(state, str) else None


def _cause(error: BaseException | None) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200].removeprefix("<class 'asyncpg.exceptions.").strip()
