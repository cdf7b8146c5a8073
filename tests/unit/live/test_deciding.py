"""Python functions that do not return: their message is a dead letter, and what waits behind it goes on."""

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import select

from app.db.database import Database
from app.db.tables import task
from app.domain.errors import InvalidMessage
from app.domain.live_rules import PythonFunction
from app.domain.readiness import DATABASE, Readiness
from app.live.deciding import FUNCTIONS, MOST_LEFT, Decisions
from app.live.intake import MessageOutcome, MessageVerdict
from app.live.python_calls import called
from tests.unit.live import functions
from tests.unit.live.live_types import configuration
from tests.unit.live.test_intake import World, message
from tests.unit.messaging.conftest import database

__all__ = ["database"]

HANGS = f"{functions.__name__}:hangs"
FUNCTION = PythonFunction(HANGS, functions.hangs)


@pytest.fixture(autouse=True)
def _released() -> Iterator[None]:
    functions.RELEASED.clear()
    yield
    functions.RELEASED.set()


def wants(id_: str) -> bool:
    return called("condition", FUNCTION, message(id_), bool)


async def test_a_message_whose_function_does_not_return_is_a_dead_letter_and_those_behind_it_are_taken(
    database: Database,
) -> None:
    slow = configuration("id: slow", f"condition: {{python: '{HANGS}'}}")
    plain = configuration("id: plain", "reference: {id: processId}")
    world = World(database, slow, plain)
    before, hanging, behind = await world.take(message("before"), message("hangs"), message("behind"))
    assert (before, behind) == (MessageVerdict(MessageOutcome.TAKEN), MessageVerdict(MessageOutcome.TAKEN))
    assert hanging == MessageVerdict(
        MessageOutcome.REFUSED, f"M/slow: condition.python: {HANGS} did not return within 0.4s"
    )
    async with database.reading() as connection:
        found = (await connection.execute(select(task.c.reference_id))).scalars().all()
    assert sorted(found) == ["D-1", "D-1", "P-1", "P-1", "P-1"], "the other configuration has its task"


async def test_a_function_may_take_its_time_as_often_as_it_is_called() -> None:
    slow = PythonFunction("x:y", lambda _: not functions.RELEASED.wait(0.1))

    def slowly(id_: str) -> bool:
        return called("condition", slow, message(id_), bool)

    decisions = Decisions(0.4, Readiness((DATABASE,)))
    assert await decisions.all(slowly, ["m"] * 8) == [True] * 8


async def test_what_breaks_in_a_decision_is_raised() -> None:
    def breaks(_: str) -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Decisions(1, Readiness((DATABASE,))).all(breaks, ["m"])


async def test_with_many_that_do_not_return_messages_wait_and_go_on_when_one_has_returned() -> None:
    readiness = Readiness((DATABASE,))
    readiness.probe_succeeded(DATABASE)
    decisions = Decisions(0.1, readiness)
    for number in range(MOST_LEFT):
        [answer] = await decisions.all(wants, [f"hangs {number}"])
        assert isinstance(answer, InvalidMessage)
    waiting = asyncio.create_task(decisions.all(wants, ["good"]))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    assert readiness.problems == {
        FUNCTIONS: "8 calls of Python functions do not return: mend the function and restart the service"
    }
    functions.RELEASED.set()
    assert await asyncio.wait_for(waiting, 20) == [True]
    assert readiness.problems == {}
