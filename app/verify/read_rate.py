"""Limits the bytes per second that a verification reads, all readers together."""

import asyncio
import time
from collections.abc import Awaitable, Callable


class ReadRate:
    """Call `take` after each piece: it waits until that many bytes were due. Without a rate it never waits.

    Unused time is not saved up, so that no second sees more than the rate and one piece of each reader.
    """

    def __init__(
        self,
        bytes_per_second: int | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rate = bytes_per_second
        self._clock = clock
        self._sleep = sleep
        self._due = 0.0

    async def take(self, size: int) -> None:
        if self._rate is None:
            return
        now = self._clock()
        self._due = max(self._due, now) + size / self._rate
        await self._sleep(self._due - now)
