"""What goes on beside requests: begun when its servers were seen, until a stop, then ended in good order."""

import asyncio
import gc
from collections.abc import Sequence
from dataclasses import dataclass

from app.api.auth.callers import KeySets
from app.domain.readiness import BROKER, DATABASE, OBJECT_STORE
from app.jobs.failures import FailedReferences
from app.messaging.consumer import LAST_COMMIT, LEAVE, CommandLoop
from app.messaging.relay import Relay
from app.process.probes import StartRefused
from app.process.reload import Reload
from app.process.watch import Watch

LEAVING, CLOSING = LAST_COMMIT + LEAVE, 2.5
"""Seconds of the shutdown timeout that are kept for committing and leaving the group, then for closing everything; half
of it at most. Only servers that are away make them necessary."""

GARBAGE = 10_000
"""Objects made and not freed that set off a collection, instead of 700: 64 tasks in flight have several thousand."""


@dataclass(frozen=True, slots=True)
class Supervision:
    """The parts that run for the life of the process. `shutdown_timeout` is in seconds.

    `relays_forget`: what was published before this process started is gone, as topics of the embedded broker are.
    """

    watch: Watch
    key_sets: KeySets
    relays: Sequence[Relay]
    work: CommandLoop
    reload: Reload
    failed: FailedReferences
    shutdown_timeout: float
    relays_forget: bool

    async def run(self, stop: asyncio.Event) -> None:
        """The watch and the keys until the end; relays and command loop from when their servers were seen until `stop`.

        Raises StartRefused, or what ended one of them.
        """
        stopping = asyncio.create_task(_set(stop))
        begun = [asyncio.create_task(self._relaying(relay, stop)) for relay in self.relays]
        begun.append(asyncio.create_task(self._working(stop)))
        always = [
            asyncio.create_task(self.watch.run()),
            asyncio.create_task(self._keeping_keys(stop)),
            asyncio.create_task(self._reloading(stop)),
            asyncio.create_task(self._counting(stop)),
        ]
        try:
            await asyncio.wait({stopping, *begun, *always}, return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                await asyncio.wait(begun, timeout=max(self.shutdown_timeout - CLOSING, self.shutdown_timeout * 3 / 4))
            for task in (*begun, *always):
                if task.done():
                    task.result()
        except* StartRefused as group:
            raise group.exceptions[0] from None
        finally:
            for task in (stopping, *begun, *always):
                task.cancel()
            await asyncio.gather(stopping, *begun, *always, return_exceptions=True)

    async def _relaying(self, relay: Relay, stop: asyncio.Event) -> None:
        if await self.watch.seen(stop, DATABASE, BROKER):
            await relay.run(stop, forgotten=self.relays_forget)

    async def _working(self, stop: asyncio.Event) -> None:
        if await self.watch.seen(stop, DATABASE, BROKER, OBJECT_STORE):
            spare_the_collector()
            await self.work.run(stop, max(self.shutdown_timeout - LEAVING - CLOSING, self.shutdown_timeout / 2))

    async def _reloading(self, stop: asyncio.Event) -> None:
        if await self.watch.seen(stop, DATABASE):
            await self.reload.run()

    async def _counting(self, stop: asyncio.Event) -> None:
        if await self.watch.seen(stop, DATABASE):
            await self.failed.run()

    async def _keeping_keys(self, stop: asyncio.Event) -> None:
        await self.key_sets.run()
        await stop.wait()  # keys that never change need no keeping


def spare_the_collector() -> None:
    """Takes what was loaded so far out of the garbage collector's rounds.

    It stays anyway; looking at all of it again stops the event loop for 150 ms, once a second under load. Called when
    the servers were seen: the first look at the object store loads most, the model of S3.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE, 10, 10)


async def _set(event: asyncio.Event) -> None:
    await event.wait()
