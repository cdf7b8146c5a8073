"""Single statements on PostgreSQL: on connections that stay open, and are left when something is wrong with them."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import database as database_module
from app.db.database import KEPT, Database
from app.domain.errors import Unavailable

pytestmark = pytest.mark.parametrize("database", ["postgresql"], indirect=True)

SESSION = text("SELECT pg_backend_pid()")


async def session(connection: AsyncConnection) -> int:
    return int((await connection.execute(SESSION)).scalar_one())


async def test_statements_one_after_the_other_have_one_session_and_leave_no_transaction(database: Database) -> None:
    first = await database.once(session)
    assert {await database.once(session) for _ in range(5)} == {first}
    state = text("SELECT state FROM pg_stat_activity WHERE pid = :pid")
    async with database.reading() as other:
        assert (await other.execute(state, {"pid": first})).scalar_one() == "idle"


async def test_what_a_statement_wrote_is_committed_at_once(database: Database) -> None:
    await database.once(lambda c: c.execute(text("CREATE TABLE kept (id INT)")))
    await database.once(lambda c: c.execute(text("INSERT INTO kept VALUES (1)")))
    async with database.reading() as other:
        assert (await other.execute(text("SELECT count(*) FROM kept"))).scalar_one() == 1


async def test_more_statements_at_once_than_are_kept_take_others_and_give_them_back(database: Database) -> None:
    async def slow(connection: AsyncConnection) -> int:
        await connection.execute(text("SELECT pg_sleep(0.1)"))
        return await session(connection)

    assert len(set(await asyncio.gather(*(database.once(slow) for _ in range(KEPT + 3))))) == KEPT + 3
    assert len(database._kept) == KEPT
    assert database.engine.pool.checkedout() == KEPT  # type: ignore[attr-defined]


async def test_a_connection_that_the_server_ended_fails_once_and_the_next_statement_has_another(
    database: Database,
) -> None:
    ended = await database.once(session)
    async with database.reading() as other:
        await other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": ended})
    with pytest.raises(Unavailable):
        await database.once(session)
    assert await database.once(session) != ended


async def test_a_statement_that_failed_leaves_its_connection(database: Database) -> None:
    await database.once(session)
    with pytest.raises(DBAPIError):
        await database.once(lambda c: c.execute(text("SELECT 1 / 0")))
    assert not database._kept
    await database.once(session)


async def test_a_statement_that_was_cancelled_leaves_its_connection(database: Database) -> None:
    before = await database.once(session)
    running = asyncio.create_task(database.once(lambda c: c.execute(text("SELECT pg_sleep(30)"))))
    await asyncio.sleep(0.1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not database._kept
    assert before
    assert await database.once(session)


async def test_a_connection_that_rested_for_long_goes_back_to_the_pool(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.once(session)
    monkeypatch.setattr(database_module, "KEPT_SECONDS", -1.0)
    await database.once(session)
    assert len(database._kept) == 1
    assert database.engine.pool.checkedout() == 1  # type: ignore[attr-defined]
