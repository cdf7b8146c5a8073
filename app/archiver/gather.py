"""Gathers the database work of many tasks into one transaction: a batch costs little more than one row."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

BATCH = 200
"""The largest number of items in one transaction; the limit keeps row locks short."""

DELAY = 0.015
"""Seconds that the first item of a batch waits for others. Work that waits holds no slot (`messaging.work.Free`)."""

MANY = 8
"""Items of a batch after which the next one waits `LONGER` times as long: where so many come, a batch of three times as
many costs little more, and nobody watches a single one of them."""

LONGER = 4


class Gather(Generic[T, R]):
    """`add` returns the answer of `flush` for its item, once the transaction of its batch is committed.

    One flush runs at a time: while the database is slow, batches grow, and no second flush waits behind the first.
    `flush` returns one answer for each item, in order. When `flush` raises, each item of the batch is flushed alone, so
    that an item that cannot be written harms no other item; the exception of that item is raised by its `add`.
    """

    def __init__(
        self, flush: Callable[[Sequence[T]], Awaitable[Sequence[R]]], *, batch: int = BATCH, delay: float = DELAY
    ) -> None:
        self._flush = flush
        self._batch = batch
        self._delay = delay
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._full = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    async def add(self, item: T) -> R:
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if len(self._waiting) >= self._batch:
            self._full.set()
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        """Runs while items wait. A batch is flushed when it is full, or when its first item has waited long enough."""
        delay = self._delay
        try:
            while self._waiting:
                if delay and len(self._waiting) < self._batch:
                    self._full.clear()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._full.wait(), delay)
                delay = self._delay * (LONGER if len(self._waiting) >= MANY else 1)
                batch, self._waiting = self._waiting[: self._batch], self._waiting[self._batch :]
                await self._answer(batch)
        finally:
            self._worker = None

    async def _answer(self, batch: Sequence[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            answers = await self._flush([item for item, _ in batch])
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except Exception as error:
            if len(batch) > 1:
                for each in batch:
                    await self._answer([each])
                return
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)
