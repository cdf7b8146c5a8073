"""Statements and transactions on PostgreSQL: on connections that stay open, and are left when something is wrong with
them."""

import asyncio
from uuid import uuid4

import pytest
from sqlalchemy import Integer, Text, Uuid, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import database as database_module
from app.db import dialect, direct
from app.db.database import KEPT, Database
from app.domain.errors import Unavailable

pytestmark = pytest.mark.parametrize("database", ["postgresql"], indirect=True)

SESSION = text("SELECT pg_backend_pid()")
STATE = text("SELECT state FROM pg_stat_activity WHERE pid = :pid")


async def session(connection: AsyncConnection) -> int:
    return int((await connection.execute(SESSION)).scalar_one())


async def test_statements_one_after_the_other_have_one_session_and_leave_no_transaction(database: Database) -> None:
    first = await database.once(session)
    assert {await database.once(session) for _ in range(5)} == {first}
    async with database.reading() as other:
        assert (await other.execute(STATE, {"pid": first})).scalar_one() == "idle"


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


INSERT, COUNT = text("INSERT INTO kept VALUES (1)"), text("SELECT count(*) FROM kept")


async def written(database: Database) -> int:
    async with database.reading() as other:
        return int((await other.execute(COUNT)).scalar_one())


@pytest.fixture
async def table(database: Database) -> None:
    await database.run(lambda c: c.execute(text("CREATE TABLE kept (id INT PRIMARY KEY)")))


@pytest.mark.usefixtures("table")
async def test_a_transaction_is_committed_when_its_work_returns_and_not_before(database: Database) -> None:
    async def insert(connection: AsyncConnection) -> tuple[int, int]:
        changed = await direct.change(connection, INSERT, {})
        return changed, await written(database)

    assert await database.run(insert) == (1, 0)
    assert await written(database) == 1


@pytest.mark.usefixtures("table")
async def test_a_transaction_that_fails_leaves_nothing_and_its_connection_can_be_used(database: Database) -> None:
    async def insert_twice(connection: AsyncConnection) -> None:
        await connection.execute(INSERT)  # both ways are in one transaction
        await direct.change(connection, INSERT, {})

    async def insert_and_give_up(connection: AsyncConnection) -> None:
        await direct.change(connection, INSERT, {})
        raise KeyError

    with pytest.raises(IntegrityError):
        await database.run(insert_twice)
    with pytest.raises(KeyError):
        await database.run(insert_and_give_up)
    assert await written(database) == 0
    sessions = {await database.run(session) for _ in range(3)}
    async with database.reading() as other:
        assert {(await other.execute(STATE, {"pid": pid})).scalar_one() for pid in sessions} == {"idle"}


@pytest.mark.usefixtures("table")
async def test_a_transaction_that_was_cancelled_leaves_nothing(database: Database) -> None:
    async def insert_and_wait(connection: AsyncConnection) -> None:
        await direct.change(connection, INSERT, {})
        await direct.fetch(connection, text("SELECT pg_sleep(30)"), {})

    running = asyncio.create_task(database.run(insert_and_wait))
    await asyncio.sleep(0.2)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await written(database) == 0
    await database.run(lambda c: direct.change(c, INSERT, {}))
    assert await written(database) == 1


@pytest.mark.usefixtures("table")
async def test_a_transaction_whose_connection_the_server_ends_is_an_outage_and_the_next_one_has_another(
    database: Database,
) -> None:
    async def insert_and_be_ended(connection: AsyncConnection) -> None:
        await direct.change(connection, INSERT, {})
        async with database.reading() as other:
            await other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": await session(connection)})
        await direct.change(connection, INSERT, {})

    with pytest.raises(Unavailable):
        await database.run(insert_and_be_ended)
    await database.run(lambda c: direct.change(c, INSERT, {}))
    assert await written(database) == 1


@pytest.mark.parametrize("way", ["run", "once"])
async def test_after_a_restart_of_the_server_one_use_fails_and_not_one_for_each_connection(
    database: Database, way: str
) -> None:
    use = getattr(database, way)
    select_one = text("SELECT 1")

    async def slow(connection: AsyncConnection) -> None:
        await direct.fetch(connection, text("SELECT pg_sleep(0.1)"), {})

    await asyncio.gather(*(use(slow) for _ in range(8)))
    others = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid()"
    )
    async with database.reading() as last:
        await last.execute(others)
    with pytest.raises(Unavailable):
        await use(lambda c: direct.fetch(c, select_one, {}))
    for _ in range(8):
        assert await use(lambda c: direct.fetch(c, select_one, {}))
    await asyncio.gather(*(use(slow) for _ in range(8)))


async def test_both_ways_give_the_same_rows(database: Database) -> None:
    rows = dialect.Rows("r", [("id", Uuid), ("number", Integer), ("name", Text)])
    statement = select(rows.clause("postgresql")).order_by(text("number"))
    values = [(uuid4(), 2, "a"), (uuid4(), 3, None), (uuid4(), 5, "\u2028 'ä' \\")]

    async def both(connection: AsyncConnection) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
        bound = rows.bind(connection, values)
        plain = [tuple(row) for row in await connection.execute(statement, bound)]
        return plain, [tuple(row) for row in await direct.fetch(connection, statement, bound)]

    plain, straight = await database.run(both)
    assert plain == straight == values


async def test_of_a_pool_of_one_connection_none_is_kept(database: Database) -> None:
    single = database.patient()
    try:
        await single.run(session)
        await single.ping()
    finally:
        await single.close()
