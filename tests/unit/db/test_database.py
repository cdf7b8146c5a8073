"""Errors of the database: outages in the service's words, bugs as they are; a closed database says why."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.connect import Unusable
from app.db.database import Database, PoolerNotNamed, translate
from app.domain.errors import NotPrepared, Unavailable


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'pas.sqlite'}")
    yield opened
    await opened.close()


async def test_a_bug_stays_what_it_is_and_is_not_its_own_cause(database: Database) -> None:
    bug = KeyError("a bug")

    async def work(_connection: AsyncConnection) -> None:
        raise bug

    with pytest.raises(KeyError) as caught:
        await database.run(work)
    assert caught.value is bug
    assert caught.value.__cause__ is None


async def test_a_broken_constraint_stays_what_it_is_also_where_it_is_read(database: Database) -> None:
    await database.run(lambda c: c.execute(text("CREATE TABLE t (id INT PRIMARY KEY)")))
    await database.run(lambda c: c.execute(text("INSERT INTO t VALUES (1)")))
    for broken in (database.run, database.once):
        with pytest.raises(IntegrityError) as caught:
            await broken(lambda c: c.execute(text("INSERT INTO t VALUES (1)")))
        assert caught.value.__cause__ is not caught.value
    with pytest.raises(IntegrityError) as caught:
        async with database.reading() as connection:
            await connection.execute(text("INSERT INTO t VALUES (1)"))
    assert caught.value.__cause__ is not caught.value


async def test_an_outage_has_what_happened_as_its_cause(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    database = Database(f"sqlite:///{tmp_path}/no/such/directory/pas.sqlite")
    with pytest.raises(Unavailable) as caught:
        await database.ping()
    assert isinstance(caught.value.__cause__, DBAPIError)
    for thread in set(threading.enumerate()) - before:  # aiosqlite's, which answers to this loop once more
        await asyncio.to_thread(thread.join)


async def test_a_table_that_is_missing_is_a_database_that_is_not_prepared(database: Database) -> None:
    with pytest.raises(NotPrepared, match="`pas migrate` is to be run") as caught:
        await database.run(lambda c: c.execute(text("SELECT * FROM backfill_job")))
    assert caught.value.public_reason == "is being prepared"


async def test_a_database_that_answers_and_cannot_be_used_is_not_called_unreachable(database: Database) -> None:
    database.close_for(Unusable("its encoding is SQL_ASCII"))
    with pytest.raises(Unusable) as caught:
        await database.run(lambda c: c.execute(text("SELECT 1")))
    assert caught.value.public_reason == "cannot be used as it is"


async def test_a_closed_database_says_why_until_it_is_opened_and_can_be_looked_at(database: Database) -> None:
    database.close_for(NotPrepared("database", "its tables are made"))
    for refused in (database.run, database.once):
        with pytest.raises(NotPrepared, match="its tables are made"):
            await refused(lambda c: c.execute(text("SELECT 1")))
    with pytest.raises(NotPrepared):
        await database.ping()
    async with database.looking() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
    database.close_for(None)
    await database.ping()


class Refusal(Exception):
    """As the driver's, with an SQLSTATE."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__("refused")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("sqlstate", "kind"),
    [
        ("08006", Unavailable),
        ("25006", Unavailable),
        ("25P03", Unavailable),
        ("25P04", Unavailable),
        ("57P05", Unavailable),
        ("40P01", Unavailable),
        ("42501", Unavailable),
        ("42P01", NotPrepared),
        ("42703", NotPrepared),
        ("3F000", NotPrepared),
        ("26000", PoolerNotNamed),
        ("42P05", PoolerNotNamed),
        ("42601", DBAPIError),
        ("22021", DBAPIError),
        ("25P02", DBAPIError),
    ],
)
def test_what_says_nothing_of_our_statement_is_an_outage_and_the_rest_a_bug(
    sqlstate: str, kind: type[Exception]
) -> None:
    assert type(translate(DBAPIError("SELECT", None, Refusal(sqlstate)))) is kind
