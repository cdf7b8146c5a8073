"""Works on several items at the same time, and gives the results in the order of the items."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 8
"""Times the concurrency: how far quick items may get ahead of a slow one."""

GRACE = 5.0
"""Seconds for running work to end after a stop."""


class _Stopped(Exception):
    """The item was not begun, because the work is to stop."""


async def in_order(
    items: AsyncIterator[T],
    work: Callable[[T], Awaitable[R]],
    stop: asyncio.Event,
    concurrency: int,
    grace: float = GRACE,
) -> AsyncGenerator[tuple[T, R], None]:
    """After `stop` no item is begun, and the first item that is not done within the grace period ends the iteration.

    Later results are thrown away: the next run, which continues after the last result, makes them again.
    """
    slots = asyncio.Semaphore(concurrency)
    window: deque[tuple[T, asyncio.Task[R]]] = deque()
    stopping = asyncio.create_task(stop.wait())
    exhausted = False

    async def one(item: T) -> R:
        async with slots:
            if stop.is_set():
                raise _Stopped
            return await work(item)

    try:
        while True:
            while not exhausted and not stop.is_set() and len(window) < concurrency * AHEAD:
                try:
                    item = await anext(items)
                except StopAsyncIteration:
                    exhausted = True
                else:
                    window.append((item, asyncio.create_task(one(item))))
            if not window:
                return
            item, task = window[0]
            if stop.is_set():
                # All of them may use the same time, not each its own.
                await asyncio.wait([task for _, task in window], timeout=grace)
                grace = 0.0
                if not task.done():
                    return
            else:
                await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not task.done():
                    continue
            window.popleft()
            try:
                result = task.result()
            except _Stopped:
                return
            yield item, result
    finally:
        tasks: list[asyncio.Task[R] | asyncio.Task[bool]] = [stopping, *(task for _, task in window)]
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
