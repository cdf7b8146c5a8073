"""Whether the store of a bucket keeps its promises: tried before the first write, once in the life of a process."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from app.domain.errors import Unavailable
from app.objectstore.probe import Leftover, Probe
from app.objectstore.s3_connection import S3Connection
from app.objectstore.s3_errors import COMPONENT
from app.objectstore.s3_put import HotPut

FIRST_PAUSE = 2.0
LONGEST_PAUSE = 60.0
"""Seconds before a store is tried again that broke a promise: each try makes versions there."""

MARGIN = 1.0
"""Seconds from the end of a lock until its version is deleted: clocks tell whole seconds."""


@dataclass(frozen=True, slots=True)
class BrokenPromises:
    """The promises that the store of a bucket does not keep.

    It is tried again at `again` (of the clock), `pause` seconds later.
    """

    reason: str
    again: float
    pause: float


class Promises:
    """One trial for each bucket, shared by all callers that wait for it; objects that it left are deleted in the
    background."""

    def __init__(
        self,
        connection: S3Connection,
        hot_put: HotPut,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._connection = connection
        self._hot_put = hot_put
        self._clock = clock
        self._sleep = sleep
        self._kept: set[str] = set()
        self._broken: dict[str, BrokenPromises] = {}
        self._trying: dict[str, asyncio.Task[None]] = {}
        self._cleaning: set[asyncio.Task[None]] = set()

    def are_kept(self, bucket: str) -> bool:
        """Whether the bucket was tried with success."""
        return bucket in self._kept

    async def need(self, bucket: str) -> None:
        """Returns when all promises are kept, after a trial if necessary. Raises Unavailable with those that are not
        kept."""
        if bucket in self._kept:
            return
        broken = self._broken.get(bucket)
        if broken is not None and self._clock() < broken.again:
            raise Unavailable(COMPONENT, broken.reason)
        trying = self._trying.get(bucket)
        if trying is None:
            trying = self._trying[bucket] = asyncio.create_task(self._try(bucket))
            trying.add_done_callback(lambda done: self._tried(bucket, done))
        await asyncio.shield(trying)  # who is cancelled does not end it for the others

    def refuse_broken(self, bucket: str) -> None:
        """Raises Unavailable when the last trial found a promise that is not kept; tries nothing."""
        broken = self._broken.get(bucket)
        if broken is not None:
            raise Unavailable(COMPONENT, broken.reason)

    async def close(self) -> None:
        """Ends tries and deletions. What is left then is found and deleted by the first try of a later process."""
        tasks = [*self._trying.values(), *self._cleaning]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _tried(self, bucket: str, done: asyncio.Task[None]) -> None:
        del self._trying[bucket]
        if not done.cancelled():
            done.exception()  # seen, also where nobody waits any more

    async def _try(self, bucket: str) -> None:
        probe = Probe(self._connection, self._hot_put, bucket)
        try:
            broken = await probe.run()
        finally:
            if probe.left:
                cleaning = asyncio.create_task(self._clean(probe, probe.left))
                self._cleaning.add(cleaning)
                cleaning.add_done_callback(self._cleaning.discard)
        if broken:
            self._note(bucket, broken)
            raise Unavailable(COMPONENT, self._broken[bucket].reason)
        self._broken.pop(bucket, None)
        self._kept.add(bucket)

    def _note(self, bucket: str, broken: Sequence[str]) -> None:
        before = self._broken.get(bucket)
        pause = FIRST_PAUSE if before is None else min(before.pause * 2, LONGEST_PAUSE)
        reason = f"bucket {bucket}: {'; '.join(broken)}"
        self._broken[bucket] = BrokenPromises(reason, self._clock() + pause, pause)

    async def _clean(self, probe: Probe, left: Sequence[Leftover]) -> None:
        """Tries to delete the versions, each when its lock has ended."""
        for each in left:
            if each.until is not None:
                await self._sleep((each.until - probe.now()).total_seconds() + MARGIN)
            with contextlib.suppress(Exception):
                await probe.delete(each.key, each.version_id)
