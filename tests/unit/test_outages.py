"""Calls that wait through outages: what is named meanwhile, what a success proves, and how long the pauses are."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.domain.errors import Unavailable
from app.domain.readiness import BROKER, DATABASE, Readiness
from app.outages import FIRST_PAUSE, LONGEST_PAUSE, note_outage, repeat_until, through_outages


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were asked for; none is slept."""
    asked: list[float] = []

    async def sleep(seconds: float) -> None:
        asked.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return asked


def failing(*errors: Exception) -> Callable[[], Awaitable[str]]:
    left = list(errors)

    async def call() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return call


async def test_a_call_that_succeeds_is_made_once_and_proves_its_component_well(pauses: list[float]) -> None:
    readiness = Readiness(())
    readiness.work_waits(BROKER, "away")
    assert await through_outages(readiness, BROKER, failing()) == "done"
    assert (readiness.problems, pauses) == ({}, [])


async def test_an_outage_is_named_while_it_lasts_and_forgotten_afterwards(pauses: list[float]) -> None:
    readiness, named = Readiness(()), []
    call = failing(Unavailable(BROKER, "first"), Unavailable(BROKER, "second"))

    async def looking() -> str:
        named.append(readiness.problems.get(BROKER))
        return await call()

    await through_outages(readiness, BROKER, looking)
    assert named == [None, "first", "second"]
    assert readiness.problems == {}


async def test_what_a_call_waited_for_is_well_when_it_succeeds_and_nothing_else_is(pauses: list[float]) -> None:
    readiness = Readiness(())
    readiness.work_waits(DATABASE, "away")
    await through_outages(readiness, BROKER, failing(Unavailable("topic a", "too large")))
    assert readiness.problems == {DATABASE: "away"}


async def test_pauses_grow_to_the_longest_and_differ_between_callers(pauses: list[float]) -> None:
    await through_outages(Readiness(()), BROKER, failing(*[Unavailable(BROKER, "away")] * 12))
    assert 0.75 * FIRST_PAUSE <= pauses[0] <= 1.25 * FIRST_PAUSE
    assert all(pause <= 1.25 * LONGEST_PAUSE for pause in pauses)
    assert all(pause >= 0.75 * LONGEST_PAUSE for pause in pauses[-5:])
    assert len({round(pause, 6) for pause in pauses[-5:]}) > 1


async def test_what_is_no_outage_is_raised_at_once_and_proves_nothing(pauses: list[float]) -> None:
    readiness = Readiness(())
    readiness.work_waits(BROKER, "away")
    with pytest.raises(ZeroDivisionError):
        await through_outages(readiness, BROKER, failing(ZeroDivisionError()))
    assert readiness.problems == {BROKER: "away"}


async def test_who_waits_can_be_cancelled() -> None:
    readiness = Readiness(())
    waiting = asyncio.create_task(through_outages(readiness, BROKER, failing(*[Unavailable(BROKER, "away")] * 99)))
    while not readiness.problems:  # noqa: ASYNC110 # there is no event
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_an_outage_is_one_line_in_the_log_however_many_wait(caplog: Any) -> None:
    readiness = Readiness(())
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            note_outage(readiness, Unavailable(BROKER, "away"))
    assert [line.getMessage() for line in caplog.records] == ["broker is not available, work waits: away"]


async def test_a_step_is_repeated_at_once_while_there_is_more_and_otherwise_after_a_pause_until_the_stop() -> None:
    readiness, stop = Readiness((DATABASE,)), asyncio.Event()
    answers: list[bool | Exception] = [True, True, Unavailable(DATABASE, "away"), False]
    named: list[str | None] = []

    async def step() -> bool:
        named.append(readiness.outage(DATABASE))
        answer = answers.pop(0)
        if not answers:
            stop.set()
        if isinstance(answer, Exception):
            raise answer
        return answer

    await repeat_until(stop, readiness, 0.001, step)
    assert (answers, named) == ([], [None, None, None, "away"])
    await repeat_until(stop, readiness, 60, step)  # stopped: the step would find no answer


async def test_the_pause_between_two_steps_ends_with_the_stop() -> None:
    stop = asyncio.Event()

    async def step() -> bool:
        asyncio.get_running_loop().call_soon(stop.set)
        return False

    async with asyncio.timeout(10):
        await repeat_until(stop, Readiness(()), 60, step)


async def test_what_is_no_outage_ends_the_repetition() -> None:
    async def step() -> bool:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await repeat_until(asyncio.Event(), Readiness(()), 60, step)
