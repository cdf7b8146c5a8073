"""Statements past SQLAlchemy's execution: what it would bind, return and raise."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import Integer, Uuid, bindparam, select, text, update
from sqlalchemy.dialects.postgresql import asyncpg as asyncpg_dialect
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError

from app.db import dialect, direct
from app.db.database import Database, is_conflict, translate
from app.db.tables import UtcDateTime, job, task
from app.domain.errors import Unavailable
from app.domain.jobs import TaskState

POSTGRESQL = asyncpg_dialect.dialect()  # type: ignore[no-untyped-call]
NOON = datetime(2026, 5, 8, 12, 0, tzinfo=UTC)
ID = UUID("88dbb65f-9634-4685-bc86-17b72d715d3e")


async def test_where_sqlalchemy_begins_the_transactions_it_executes_too(database: Database) -> None:
    await database.run(lambda c: c.execute(text("CREATE TABLE t (id INT)")))
    insert, read = text("INSERT INTO t VALUES (:one), (:two)"), text("SELECT id FROM t ORDER BY id")
    assert await database.run(lambda c: direct.change(c, insert, {"one": 1, "two": 2})) == 2
    assert [each for (each,) in await database.run(lambda c: direct.fetch(c, read, {}))] == [1, 2]


def test_parameters_are_in_the_order_of_the_text_and_converted() -> None:
    rows = dialect.Rows("ids", [("job_id", Uuid), ("position", Integer)])
    ids = rows.clause("postgresql")
    statement = (
        update(task)
        .where(task.c.job_id == ids.c.job_id, task.c.state == TaskState.OPEN)
        .values(finished_at=bindparam("now", type_=UtcDateTime))
    )
    made = direct._compiled(statement, POSTGRESQL)
    elsewhere = NOON.astimezone(timezone(timedelta(hours=2)))
    given = {"now": elsewhere, "ids_job_id": [ID], "ids_position": [3]}
    by_place = dict(zip([name for name, _, _ in made.binds], made.arguments(given), strict=True))
    assert by_place == {"now": NOON, "ids_job_id": [ID], "ids_position": [3], "state_1": "open"}
    assert by_place["now"].tzinfo is UTC
    for place, (name, _, _) in enumerate(made.binds, 1):
        assert f"${place}" in made.sql, name
    assert f"${len(made.binds) + 1}" not in made.sql


def test_columns_are_converted_where_they_need_it() -> None:
    made = direct._compiled(select(job.c.id, job.c.started), POSTGRESQL)
    ((id_, started),) = made.rows([(ID, NOON.astimezone(timezone(timedelta(hours=2))))])
    assert (id_, started, started.tzinfo) == (ID, NOON, UTC)
    plain = [(1, "a")]
    assert direct._compiled(select(task.c.position, task.c.state), POSTGRESQL).rows(plain) is plain


def test_a_statement_is_compiled_once() -> None:
    statement = select(task.c.position)
    assert direct._compiled(statement, POSTGRESQL) is direct._compiled(statement, POSTGRESQL)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (asyncpg.UniqueViolationError("duplicate"), IntegrityError),
        (asyncpg.ForeignKeyViolationError("missing"), IntegrityError),
        (asyncpg.DeadlockDetectedError("deadlock"), DBAPIError),
        (asyncpg.InterfaceError("connection is closed"), InterfaceError),
    ],
)
def test_errors_are_in_the_words_of_sqlalchemy(raised: Exception, expected: type[Exception]) -> None:
    with pytest.raises(expected) as caught, direct.driver_errors("SELECT 1"):
        raise raised
    assert caught.value.__cause__ is raised


def test_conflicts_and_outages_are_known_as_such() -> None:
    with pytest.raises(DBAPIError) as conflict, direct.driver_errors("UPDATE"):
        raise asyncpg.DeadlockDetectedError("deadlock")
    assert is_conflict(conflict.value)
    ended: list[Exception] = [asyncpg.ConnectionDoesNotExistError("gone"), asyncpg.InterfaceError("closed")]
    for lost in (*ended, asyncpg.InternalClientError("cannot switch to state 15")):
        with pytest.raises(DBAPIError) as outage, direct.driver_errors("UPDATE"):
            raise lost
        assert isinstance(translate(outage.value), Unavailable)
