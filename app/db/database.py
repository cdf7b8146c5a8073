"""The database as a resource: transactions that are retried, outages with a reason, readers that block no writer."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from time import monotonic
from typing import TypeVar

from sqlalchemy import text
from sqlalchemy.exc import DatabaseError, DBAPIError, IntegrityError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.db import direct
from app.db.dialect import open_engine, options_of
from app.domain.errors import NotPrepared, Unavailable
from app.domain.readiness import DATABASE

T = TypeVar("T")

Work = Callable[[AsyncConnection], Awaitable[T]]

CONFLICT_TRIES = 8
"""Deadlock and serialization errors are tried again: batches lock in one order, but two statements can still meet.
Enough for as many processes that insert the same rows at once: each round lets one through."""

KEPT = 3
"""Connections that stay out of the pool between two uses: for look-ups, notes and outcomes."""

KEPT_SECONDS = 60.0
"""Seconds without a use after which such a connection goes back to the pool, which replaces old ones."""

_CONFLICTS = {"40001", "40P01", "55P03"}
_RACES = ("uq_artifact_object", "uq_artifact_current", "uq_metadata_run_automatic", "pk_live_task")
"""Unique indexes at which two transactions conflict when each searched before the other inserted; a retry finds the
row."""
_OUTAGES = ("08", "53", "55", "57", "58", "28", "3D", "25006", "25P03", "25P04", "42501")
"""SQLSTATE classes that say nothing about our statement: connection, resources, maintenance (no connections are
allowed), shutdown or cancelled by an operator, system, login, read-only, a transaction that was idle or open for longer
than the server allows, rights that were taken away."""

_NOT_PREPARED = {"42P01", "42703", "3F000"}
"""A table, column or schema that is missing has not been migrated yet: requests can come before `--migrate` is done."""

NOT_PREPARED = "a migration is under way, or `pas migrate` is to be run"

_POOLED = {"26000", "42P05"}
"""A prepared statement is missing, or exists already: it was prepared in another session of the server."""


class PoolerNotNamed(Unavailable):
    """A pooler in transaction mode gives each transaction another session, and the URL does not say so."""

    public_reason = "cannot be used as it is"

    def __init__(self) -> None:
        super().__init__(
            DATABASE,
            "a pooler in transaction mode (PgBouncer, pool_mode=transaction) is in between: say ?pooler=transaction in "
            "jeap.datasource.url, or let its pool_mode be session",
        )


class Database:
    """One engine. `run` is one transaction, tried again on conflicts; `reading` never holds up a writer.

    Raises `Unavailable("database", reason)` when the server cannot be reached or refuses everyone.
    """

    def __init__(self, url: str, *, pool_size: int = 10, patient: bool = False) -> None:
        self._url = url
        self.engine: AsyncEngine = open_engine(url, pool_size=pool_size, patient=patient)
        self._closed_for: Unavailable | None = None
        self._single = self.engine
        if self.engine.dialect.name == "postgresql" and options_of(url).pooler == "session":
            options = {"isolation_level": "AUTOCOMMIT", direct.OPTION: True}
            self._single = self.engine.execution_options(**options)
        self._most_kept = min(KEPT, pool_size - 1)
        self._kept: list[tuple[AsyncConnection, float]] = []
        """Connections that were used, and are used next; and when each was last used."""
        self._writer = asyncio.Lock() if self.engine.dialect.name == "sqlite" else None

    def patient(self) -> "Database":
        """Another engine to the same database, whose statements have no time limit. The caller closes it."""
        return Database(self._url, pool_size=1, patient=True)

    async def run(self, work: Work[T]) -> T:
        """Runs `work` in one transaction, and commits when it returns.

        `work` may be called again, so it must not have other effects.
        """
        self._refuse_while_closed()
        begun = partial(self._on_kept, begin=True)
        return await self._run(self._in_transaction if self._single is self.engine else begun, work)

    async def _in_transaction(self, work: Work[T]) -> T:
        # SQLite has one writer at a time; waiting here is fair and costs no busy-waiting.
        async with self._writer or contextlib.nullcontext(), self.engine.begin() as connection:
            return await work(connection)

    async def _run(self, way: Callable[[Work[T]], Awaitable[T]], work: Work[T]) -> T:
        for tries in range(1, CONFLICT_TRIES + 1):
            try:
                return await way(work)
            except Exception as error:
                if is_conflict(error) and tries < CONFLICT_TRIES:
                    await asyncio.sleep(min(0.01 * 2**tries, 0.3) * random.uniform(0.5, 1.5))
                    continue
                translated = translate(error)
                if translated is error:
                    raise
                raise translated from error
        raise AssertionError("unreachable")

    async def once(self, work: Work[T]) -> T:
        """Like `run`, for `work` of a single statement: the statement is its own transaction, without BEGIN and
        COMMIT."""
        self._refuse_while_closed()
        return await self._run(self._in_transaction if self._single is self.engine else self._on_kept, work)

    async def _on_kept(self, work: Work[T], *, begin: bool = False) -> T:
        """On a connection that stays open: to take one out of the pool and give it back costs three times as much as
        the statement. `begin`: in a transaction."""
        connection = await self._take_kept()
        try:
            if begin:
                await direct.command(connection, "BEGIN")
            result = await work(connection)
            if begin:
                await direct.command(connection, "COMMIT")
        except BaseException:
            await asyncio.shield(self._leave(connection, begun=begin))
            raise
        if len(self._kept) < self._most_kept:
            self._kept.append((connection, monotonic()))
        else:
            await connection.close()
        return result

    async def _leave(self, connection: AsyncConnection, *, begun: bool) -> None:
        """Ends a transaction that has begun, and gives the connection back to the pool. Where the connection is lost,
        all that rest are closed: with a server that stopped they are lost too, and each would fail once."""
        try:
            if begun:
                await direct.command(connection, "ROLLBACK")
            lost = direct.driver_of(connection).is_closed()
        except Exception:  # whatever it is: a connection in an unknown state must not be used again
            lost = True
        if not lost:
            await connection.close()
            return
        kept, self._kept = self._kept, []
        for each in (connection, *(other for other, _ in kept)):
            await each.invalidate()
            await each.close()
        await self.engine.dispose()

    async def _take_kept(self) -> AsyncConnection:
        while self._kept:
            connection, last_used = self._kept.pop()
            if monotonic() - last_used < KEPT_SECONDS:
                return connection
            await connection.close()
        return await self._single.connect()

    @contextlib.asynccontextmanager
    async def reading(self, *, brief: bool = False) -> AsyncIterator[AsyncConnection]:
        """A connection for queries only; nothing is committed.

        `brief`: each query is its own transaction, without BEGIN and ROLLBACK; not for answers that stream.
        """
        self._refuse_while_closed()
        async with self.looking(brief=brief) as connection:
            yield connection

    @contextlib.asynccontextmanager
    async def looking(self, *, brief: bool = False) -> AsyncIterator[AsyncConnection]:
        """Like `reading`, but works while the database is closed: for probes of whether it can be used."""
        try:
            async with (self._single if brief else self.engine).connect() as plain:
                yield await plain.execution_options(read_only=True)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            translated = translate(error)
            if translated is error:
                raise
            raise translated from error

    async def ping(self) -> None:
        async with self.reading() as connection:
            await connection.execute(text("SELECT 1"))

    async def check_pooler(self) -> None:
        """Raises PoolerNotNamed when two connections of this process share one session of the server.

        Such a session keeps no prepared statements and settings. Other users of the pooler can hide the sharing for a
        while; then the statements fail and the error says so.
        """
        if self._single is self.engine:  # SQLite, or a pooler that is named
            return
        async with self.looking(brief=True) as one:
            raw = (await one.get_raw_connection()).driver_connection
            session = await _session(one)
            if raw is None or raw.get_server_pid() == session:
                return  # no pooler: the server itself told its process at login
            async with self.looking(brief=True) as other:
                if await _session(other) == session:
                    raise PoolerNotNamed()

    def close_for(self, reason: Unavailable | None) -> None:
        """Refuses all queries with `reason` until the next call; None opens the database again."""
        self._closed_for = reason

    def _refuse_while_closed(self) -> None:
        if self._closed_for is not None:
            raise self._closed_for.with_traceback(None)

    async def close(self) -> None:
        while self._kept:
            await self._kept.pop()[0].close()
        await self.engine.dispose()


def is_conflict(error: BaseException) -> bool:
    if not isinstance(error, DBAPIError):
        return False
    text = str(error.orig)
    if isinstance(error, IntegrityError):
        return any(f'"{index}"' in text for index in _RACES)
    return _sqlstate(error) in _CONFLICTS or "database is locked" in text


def translate(error: BaseException) -> BaseException:
    """Outages become `Unavailable`; every other error (a bug, a broken constraint) stays as it is."""
    if isinstance(error, PoolTimeout):
        return Unavailable(DATABASE, "no connection free within 10 s")
    if isinstance(error, (OSError, TimeoutError)):
        return Unavailable(DATABASE, f"cannot be reached ({_cause(error)})")
    if isinstance(error, DBAPIError):
        state = _sqlstate(error)
        if state in _NOT_PREPARED or (state is None and "no such table" in str(error.orig)):
            return NotPrepared(DATABASE, f"is not prepared: {NOT_PREPARED} ({_cause(error.orig)})")
        if state in _POOLED:
            return PoolerNotNamed()
        if state is not None:
            if state.startswith(_OUTAGES) or state in _CONFLICTS:
                return Unavailable(DATABASE, f"{_cause(error.orig)} ({state})")
        elif (
            error.connection_invalidated
            or isinstance(error, (OperationalError, InterfaceError))
            or type(error) is DatabaseError  # SQLite: the file is no database, or is damaged
        ):
            return Unavailable(DATABASE, _cause(error.orig))
    return error


async def _session(connection: AsyncConnection) -> int:
    """The id of the server process behind the connection at this moment."""
    pid: int = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
    return pid


def _sqlstate(error: DBAPIError) -> str | None:
    state = getattr(error.orig, "sqlstate", None)
    return state if isinstance(state, str) else None


def _cause(error: BaseException | None) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200].removeprefix("<class 'asyncpg.exceptions.").strip()
