"""Calls that wait through outages: what is named meanwhile, what a success proves, and how long the pauses are."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.domain.errors import Unavailable
from app.domain.readiness import BROKER, DATABASE, Readiness
from app.outages import FIRST_PAUSE, LONGEST_PAUSE, note_outage, through_outages


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
