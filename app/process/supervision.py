"""Starts the background parts of the process when the servers they need were seen, and stops them in order."""

import asyncio
import contextlib
import gc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.api.auth.callers import KeySets
from app.domain.errors import StartRefused, Unavailable
from app.domain.readiness import BROKER, DATABASE, OBJECT_STORE
from app.jobs.failures import FailedReferences
from app.jobs.waiting import WaitingJobs
from app.messaging.consumer import LAST_COMMIT, LEAVE, CommandLoop
from app.messaging.job_events import JobEventRelay
from app.messaging.live_flow import LiveFlow
from app.messaging.relay import Relay
from app.process.reload import Reload
from app.process.watch import Watch

LEAVING, CLOSING = LAST_COMMIT + LEAVE, 2.5
"""Seconds of the shutdown timeout that are kept for committing and leaving the group, then for closing everything; half
of it at most. Only servers that are away make them necessary."""

LAST_ROWS = 0.5
"""Seconds of `CLOSING` for the last rows that the process writes: milliseconds, unless the database is away."""

GARBAGE = 10_000
"""Objects made and not freed that set off a collection, instead of 700: 64 tasks in flight have several thousand."""


class Upkeep(Protocol):
    """A part that writes rows about this process: `run` writes them until it is cancelled, `end` writes or deletes the
    last."""

    async def run(self) -> None: ...

    async def end(self) -> None: ...


class EvidencePart(Protocol):
    """A part that makes evidence, until `stop`."""

    async def run(self, stop: asyncio.Event) -> None: ...


@dataclass(frozen=True, slots=True)
class Supervision:
    """The parts that run for the life of the process. `shutdown_timeout` is in seconds.

    `relays_forget`: records that were published before this process started are lost, as in the topics of the embedded
    broker.
    """

    watch: Watch
    key_sets: KeySets
    relays: Sequence[Relay]
    job_events: JobEventRelay | None
    """None where no events of jobs are published."""
    evidence: Sequence[EvidencePart]
    """Nothing where nothing is signed."""
    work: CommandLoop
    reload: Reload
    failed: FailedReferences
    upkeep: Sequence[Upkeep]
    waiting: WaitingJobs
    live: LiveFlow | None
    """None where live archiving is switched off."""
    shutdown_timeout: float
    relays_forget: bool

    async def run(self, stop: asyncio.Event) -> None:
        """Runs the watch and the key refresh until the end, relays and command loop from when their servers were seen
        until `stop`.

        Raises StartRefused, or the exception that ended one of the parts.
        """
        stopping = asyncio.create_task(_set(stop))
        begun = [asyncio.create_task(self._relaying(relay, stop)) for relay in self.relays]
        begun.append(asyncio.create_task(self._working(stop)))
        begun.append(asyncio.create_task(self._publishing_job_events(stop)))
        begun += [asyncio.create_task(self._proving(each, stop)) for each in self.evidence]
        begun.append(asyncio.create_task(self._taking_messages(stop)))
        always = [
            asyncio.create_task(self.watch.run()),
            asyncio.create_task(self._keeping_keys(stop)),
            asyncio.create_task(self._reloading(stop)),
            asyncio.create_task(self._counting(stop)),
            *(asyncio.create_task(self._keeping_up(each, stop)) for each in self.upkeep),
            asyncio.create_task(self._saying(stop)),
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
            if stop.is_set():
                await self._last_rows()

    async def _relaying(self, relay: Relay, stop: asyncio.Event) -> None:
        if await self.watch.seen(stop, DATABASE, BROKER):
            await relay.run(stop, forgotten=self.relays_forget)

    async def _publishing_job_events(self, stop: asyncio.Event) -> None:
        if self.job_events is not None and await self.watch.seen(stop, DATABASE, BROKER):
            await self.job_events.run(stop)
        await stop.wait()

    async def _proving(self, part: EvidencePart, stop: asyncio.Event) -> None:
        if await self.watch.seen(stop, DATABASE, OBJECT_STORE):
            await part.run(stop)

    async def _taking_messages(self, stop: asyncio.Event) -> None:
        if self.live is not None and await self.watch.seen(stop, DATABASE, BROKER):
            await self.live.run(stop, self._time_to_stop)
        await stop.wait()

    async def _working(self, stop: asyncio.Event) -> None:
        if await self.watch.seen(stop, DATABASE, BROKER, OBJECT_STORE):
            spare_the_collector()
            await self.work.run(stop, self._time_to_stop)

    @property
    def _time_to_stop(self) -> float:
        """Seconds in which running work may end."""
        return max(self.shutdown_timeout - LEAVING - CLOSING, self.shutdown_timeout / 2)

    async def _reloading(self, stop: asyncio.Event) -> None:
        if await self.watch.seen(stop, DATABASE):
            await self.reload.run()

    async def _counting(self, stop: asyncio.Event) -> None:
        if await self.watch.seen(stop, DATABASE):
            await self.failed.run()

    async def _keeping_up(self, upkeep: Upkeep, stop: asyncio.Event) -> None:
        if await self.watch.seen(stop, DATABASE):
            await upkeep.run()

    async def _last_rows(self) -> None:
        with contextlib.suppress(TimeoutError, Unavailable):
            async with asyncio.timeout(LAST_ROWS):
                for each in self.upkeep:
                    await each.end()

    async def _saying(self, stop: asyncio.Event) -> None:
        if await self.watch.seen(stop, DATABASE):
            await self.waiting.run()

    async def _keeping_keys(self, stop: asyncio.Event) -> None:
        await self.key_sets.run()
        await stop.wait()  # keys that never change need no keeping


def spare_the_collector() -> None:
    """Excludes the objects loaded so far from garbage collection.

    These objects stay in memory anyway. To look at all of them again stops the event loop for 150 ms, once a second
    under load. Called when the servers were seen, as the first probe of the object store loads the most: the model of
    S3.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE, 10, 10)


async def _set(event: asyncio.Event) -> None:
    await event.wait()
