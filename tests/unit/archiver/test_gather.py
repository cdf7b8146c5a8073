"""What many tasks want of the database goes into one transaction, and one that cannot be written harms no other."""

import asyncio
from collections.abc import Sequence

import pytest

from app.archiver.gather import LONGER, MANY, Gather
from tests.unit.sources.virtual import at_once


async def test_what_is_added_together_is_flushed_together() -> None:
    batches: list[list[int]] = []

    async def flush(items: Sequence[int]) -> list[int]:
        batches.append(list(items))
        return [item * 10 for item in items]

    gather = Gather(flush, batch=3, delay=0.001)
    assert await asyncio.gather(*(gather.add(item) for item in range(7))) == [0, 10, 20, 30, 40, 50, 60]
    assert batches == [[0, 1, 2], [3, 4, 5], [6]]


async def test_while_one_batch_is_written_the_next_one_grows() -> None:
    batches: list[list[int]] = []
    written = asyncio.Event()

    async def flush(items: Sequence[int]) -> Sequence[int]:
        batches.append(list(items))
        await written.wait()
        return items

    gather = Gather(flush, batch=100, delay=0)
    first = asyncio.create_task(gather.add(1))
    await asyncio.sleep(0.01)
    others = [asyncio.create_task(gather.add(item)) for item in (2, 3, 4)]
    await asyncio.sleep(0.01)
    assert batches == [[1]]
    written.set()
    await asyncio.gather(first, *others)
    assert batches == [[1], [2, 3, 4]]


async def test_one_item_that_cannot_be_written_harms_no_other() -> None:
    async def flush(items: Sequence[int]) -> Sequence[int]:
        if 13 in items:
            raise ValueError("not this one")
        return items

    gather = Gather(flush, batch=10, delay=0.001)
    answers = await asyncio.gather(*(gather.add(item) for item in (12, 13, 14)), return_exceptions=True)
    assert (answers[0], answers[2]) == (12, 14)
    assert isinstance(answers[1], ValueError)


async def test_who_is_cancelled_takes_nobody_along() -> None:
    async def flush(items: Sequence[int]) -> Sequence[int]:
        return items

    gather = Gather(flush, batch=10, delay=0.01)
    gone, stays = asyncio.create_task(gather.add(1)), asyncio.create_task(gather.add(2))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays == 2
    with pytest.raises(asyncio.CancelledError):
        await gone


def test_after_a_large_batch_the_next_one_waits_longer() -> None:
    written: list[tuple[int, float]] = []

    async def story() -> None:
        loop = asyncio.get_running_loop()
        others: list[asyncio.Task[int]] = []

        async def flush(items: Sequence[int]) -> Sequence[int]:
            written.append((len(items), loop.time()))
            if len(others) < 2:
                others.append(asyncio.create_task(gather.add(0)))
                await asyncio.sleep(0)
            return items

        gather = Gather(flush, batch=1_000, delay=1)
        await asyncio.gather(*(gather.add(item) for item in range(MANY)))
        for other in others:
            await other

    at_once(story())
    assert [(number, round(at)) for number, at in written] == [(MANY, 1), (1, 1 + LONGER), (1, 2 + LONGER)]
