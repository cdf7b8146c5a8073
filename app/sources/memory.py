"""A budget of bytes for the documents in the memory of one process: fetches wait for it, and never for ever."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from app.domain.artifacts import Document

FIRST_SHARE = 64 * 1024
"""Bytes set aside before a source is asked: most documents are smaller, so most never wait with an answer half read."""


class ByteBudget:
    """Documents in memory hold at most `limit` bytes together, and one document more.

    There are two queues, both first come, first served. New leases wait while existing leases want to grow, so that
    started work ends. When *every* lease waits to grow, no lease would ever be released. Then the first one may exceed
    the limit and never waits again; it is the only such lease until it is released.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self.leases = 0
        self._entering: deque[asyncio.Future[None]] = deque()
        self.growing: deque[tuple[Lease, int, asyncio.Future[None]]] = deque()

    async def lease(self) -> "Lease":
        """A share of `FIRST_SHARE` bytes that can be resized and must be released. Waits for room."""
        if not self._entering and self._may_enter():
            self._enter()
        else:
            await self._wait_to_enter()
        return Lease(self)

    async def _wait_to_enter(self) -> None:
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._entering.append(admitted)
        try:
            await admitted
        except asyncio.CancelledError:
            if admitted.cancelled():
                self._entering.remove(admitted)
            else:  # admitted and cancelled in the same turn of the loop
                self.used -= FIRST_SHARE
                self.leases -= 1
            self.serve()
            raise

    def _may_enter(self) -> bool:
        return not self.growing and (self.leases == 0 or self.used + FIRST_SHARE <= self.limit)

    def _enter(self) -> None:
        self.used += FIRST_SHARE
        self.leases += 1

    def serve(self) -> None:
        """Hands out free bytes; called whenever bytes may have become free."""
        while self.growing:
            lease, size, granted = self.growing[0]
            if not lease.fits(size):
                if len(self.growing) < self.leases:
                    return  # somebody still works and will give something back
                lease.exceeds = True
            self.growing.popleft()
            lease.set(size)
            granted.set_result(None)
        while self._entering and self._may_enter():
            self._enter()
            self._entering.popleft().set_result(None)


class Lease:
    """One document's share of the budget; `size` in bytes."""

    __slots__ = ("_budget", "exceeds", "size")

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self.size = FIRST_SHARE
        self.exceeds = False

    def fits(self, size: int) -> bool:
        """Whether the budget has room for `size` bytes."""
        return size <= self.size or self.exceeds or self._budget.used + size - self.size <= self._budget.limit

    def set(self, size: int) -> None:
        self._budget.used += size - self.size
        self.size = size

    def resize_now(self, size: int) -> bool:
        """Shrinks, or grows when no wait is needed; False when a wait is needed."""
        if size <= self.size:
            self.set(size)
            self._budget.serve()
        elif self.exceeds or (not self._budget.growing and self.fits(size)):
            self.set(size)
        else:
            return False
        return True

    async def resize(self, size: int) -> None:
        """Grows to `size` bytes; waits behind other leases that want to grow."""
        if self.resize_now(size):
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = (self, size, granted)
        self._budget.growing.append(waiting)
        self._budget.serve()
        try:
            await granted
        except asyncio.CancelledError:
            if granted.cancelled():
                self._budget.growing.remove(waiting)
                self._budget.serve()
            raise

    def release(self) -> None:
        """Gives all bytes back."""
        self.set(0)
        self._budget.leases -= 1
        self._budget.serve()


class HeldDocument:
    """A document as a context: `make` makes it, and its lease is released when the block ends."""

    __slots__ = ("_lease", "_make")

    def __init__(self, make: Callable[[], Awaitable[tuple[Document, Lease]]]) -> None:
        self._make = make

    async def __aenter__(self) -> Document:
        document, self._lease = await self._make()
        return document

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        self._lease.release()
