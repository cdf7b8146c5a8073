"""Side by side, and yet in order; after a stop nothing that was done is lost behind what was not."""

import asyncio
import random
from collections.abc import AsyncIterator

from app.verify.in_order import in_order


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


async def test_results_come_in_the_order_of_the_items_and_no_more_than_allowed_at_once() -> None:
    at_work = most = 0

    async def work(number: int) -> int:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(random.uniform(0, 0.002))
        at_work -= 1
        return number * 2

    results = [pair async for pair in in_order(numbers(100), work, asyncio.Event(), 5)]
    assert results == [(number, 2 * number) for number in range(100)]
    assert most == 5


async def test_after_a_stop_what_is_in_work_ends_and_nothing_begins() -> None:
    stop, begun = asyncio.Event(), []

    async def work(number: int) -> int:
        begun.append(number)
        if number == 10:
            stop.set()
        await asyncio.sleep(0.001)
        return number

    results = [number async for number, _ in in_order(numbers(100), work, stop, 3)]
    assert results == sorted(begun)
    assert len(results) < 20


async def test_what_does_not_end_in_time_is_left_for_the_next_time() -> None:
    stop = asyncio.Event()

    async def work(number: int) -> int:
        if number == 2:
            stop.set()
            await asyncio.sleep(60)
        return number

    results = [number async for number, _ in in_order(numbers(100), work, stop, 4, grace=0.05)]
    assert results == [0, 1]
