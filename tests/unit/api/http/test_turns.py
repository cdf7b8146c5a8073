"""Few at a time, some that wait, and the rest are told to come again."""

import asyncio

import pytest

from app.api.http.concurrency import ConcurrencyLimit
from app.api.http.problems import ApiProblem


async def test_who_finds_no_turn_is_told_to_come_again() -> None:
    turns = ConcurrencyLimit("changes of jobs", at_once=2, waiting=1, patience=0.05)
    begun: list[int] = []
    go = asyncio.Event()

    async def change(number: int) -> None:
        async with turns.one():
            begun.append(number)
            await go.wait()

    tasks = [asyncio.create_task(change(number)) for number in range(4)]
    await asyncio.sleep(0)
    assert begun == [0, 1]
    with pytest.raises(ApiProblem) as refused:  # there was no room to wait
        await tasks[3]
    assert refused.value.status == 503
    assert refused.value.headers["Retry-After"]
    assert "Too many changes of jobs at once" in str(refused.value.detail)
    with pytest.raises(ApiProblem):  # it waited long enough
        await tasks[2]
    go.set()
    await asyncio.gather(*tasks[:2])
    await asyncio.wait_for(change(4), 1)
    assert begun == [0, 1, 4]


async def test_a_turn_is_given_back_whatever_becomes_of_it() -> None:
    turns = ConcurrencyLimit("changes", at_once=1, waiting=0, patience=0.05)
    with pytest.raises(ValueError, match="broken"):
        async with turns.one():
            raise ValueError("broken")
    async with turns.one():
        pass
