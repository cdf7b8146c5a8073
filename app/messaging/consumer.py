"""The command loop: poll, look up, hand out, commit what is settled. It polls on while work is slow or waits."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence
from time import monotonic
from typing import NamedTuple

from app.broker import Consumer, Partition, Record
from app.domain.errors import Unavailable
from app.domain.readiness import BROKER, Readiness
from app.messaging.dispatch import DeadLetter, Dispatcher, Settled
from app.messaging.offsets import Offsets
from app.messaging.slots import Free, Slots, Work
from app.outages import note_outage, note_well

POLL_RECORDS = 500
POLL_TIMEOUT = 0.2
"""Seconds; also how often limits that grew are looked at, and how late a stop is noticed."""

IN_HAND = 20_000
"""Commands in the memory of one process (about 2 KB each): enough that many big jobs cannot hide a small one."""

COMMIT_EVERY = 0.5
"""Seconds between commits: what a crash delivers again costs one look-up."""

SETTLE_ON_REVOKE = 5.0
"""Seconds that running work may take to end when its partition is taken away; longer, and the group expels us."""

LAST_COMMIT, LEAVE = 1.0, 1.5
"""Seconds for the last commit and for leaving the group: milliseconds, unless the broker is away."""

PUT_BACK_OVERFLOW = 30.0
"""Seconds for which commands of a stalled source are put back when they fill the hand."""

PUTTING_BACK = "putting back"
DEAD_LETTERS = "dead letters"
"""Lanes of the work that asks no source."""

log = logging.getLogger(__name__)


class _Taken(NamedTuple):
    """A polled record, and the offsets of its partition as assigned to us when it came."""

    record: Record
    offsets: Offsets


class CommandLoop:
    """One member of the consumer group. `dead_letter` sends one record away and returns once that is acknowledged."""

    def __init__(
        self,
        consumer: Consumer,
        dispatcher: Dispatcher,
        slots: Slots,
        dead_letter: Callable[[Record, str], Awaitable[None]],
        readiness: Readiness,
    ) -> None:
        self._consumer = consumer
        self._dispatcher = dispatcher
        self._slots = slots
        self._dead_letter = dead_letter
        self._readiness = readiness
        self._offsets: dict[Partition, Offsets] = {}
        self._polled: list[_Taken] = []
        self._look_up: asyncio.Task[None] | None = None
        self._paused = False
        self._last_commit = 0.0

    async def run(self, stop: asyncio.Event, shutdown_timeout: float) -> None:
        """Until `stop`: then starts nothing more, gives what runs `shutdown_timeout` seconds, commits and leaves.

        The last two take up to `LAST_COMMIT` and `LEAVE` seconds more.
        """
        await self._consumer.start(self._revoked)
        try:
            while not stop.is_set():
                await self._wait_for_look_up()
                self._hold_back(self._look_up is not None or self._slots.in_hand >= IN_HAND)
                await self._poll()
                self._begin_look_up()
                await self._make_room()
                self._slots.fill()
                await self._commit_sometimes()
        finally:
            if self._look_up is not None:
                self._look_up.cancel()
            await self._slots.stop(shutdown_timeout)
            await _within(LAST_COMMIT, self._commit())
            await _within(LEAVE, self._consumer.stop())
            if self._look_up is not None and self._look_up.done() and not self._look_up.cancelled():
                self._look_up.result()

    async def _poll(self) -> None:
        try:
            records = await self._consumer.poll(POLL_TIMEOUT, POLL_RECORDS)
        except Unavailable as outage:
            note_outage(self._readiness, outage)
            await asyncio.sleep(POLL_TIMEOUT)
            return
        for record in records:
            offsets = self._offsets_of(record.partition)
            offsets.take(record)
            self._polled.append(_Taken(record, offsets))

    def _begin_look_up(self) -> None:
        """One look-up runs at a time. Records may come while it does, as partitions that were just assigned are not
        paused yet: those wait for the next one."""
        if self._polled and self._look_up is None:
            polled, self._polled = self._polled, []
            self._look_up = asyncio.create_task(self._receive(polled))

    async def _wait_for_look_up(self) -> None:
        """For a moment. Raises what the look-up raised."""
        if self._look_up is None:
            return
        await asyncio.wait({self._look_up}, timeout=POLL_TIMEOUT)
        if self._look_up.done():
            ended, self._look_up = self._look_up, None
            ended.result()

    def _offsets_of(self, partition: Partition) -> Offsets:
        offsets = self._offsets.get(partition)
        if offsets is None:
            offsets = self._offsets[partition] = Offsets(partition)
        return offsets

    def _hold_back(self, full: bool) -> None:
        """Pauses the partitions while enough is in hand; called before each poll, as assignments change."""
        assigned = list(self._consumer.assigned())
        if full:
            self._consumer.pause(assigned)
        elif self._paused:
            self._consumer.resume(assigned)
        self._paused = full

    async def _receive(self, polled: Sequence[_Taken]) -> None:
        """Looks polled commands up at once and puts them in hand."""
        taken = [each for each in polled if not each.offsets.revoked]
        if not taken:
            return
        answers = await self._dispatcher.receive([each.record for each in taken])
        for (record, offsets), answer in zip(taken, answers, strict=True):
            if offsets.revoked:
                continue
            if isinstance(answer, Settled):
                offsets.settle(record)
                continue
            if isinstance(answer, DeadLetter):
                answer = self._dead_letter_work(record, answer.reason)
            self._slots.add(self._settling(answer, record, offsets))
        self._slots.fill()

    def _dead_letter_work(self, record: Record, reason: str) -> Work:
        return Work(DEAD_LETTERS, DEAD_LETTERS, lambda _: self._dead_letter(record, reason))

    def _settling(self, work: Work, record: Record, offsets: Offsets) -> Work:
        """The same work; when it has ended well its record is settled."""

        async def run(free: Free) -> None:
            await work.run(free)
            offsets.settle(record)

        put_back = work.put_back

        async def put_back_and_settle(seconds: float) -> None:
            if put_back is not None:
                await put_back(seconds)
                offsets.settle(record)

        return Work(
            work.lane,
            work.turn,
            run,
            None if put_back is None else put_back_and_settle,
            is_void=lambda: offsets.revoked,
        )

    async def _make_room(self) -> None:
        if self._slots.in_hand < IN_HAND:
            return
        for work in self._slots.overflow():
            if work.put_back is None:
                self._slots.add(work)
            else:
                self._slots.add(_putting_back(work.turn, work.put_back))

    async def _commit_sometimes(self) -> None:
        if monotonic() - self._last_commit >= COMMIT_EVERY:
            await self._commit()

    async def _commit(self) -> None:
        self._last_commit = monotonic()
        due = {offsets.partition: offsets.due for offsets in self._offsets.values()}
        await self._commit_offsets({partition: offset for partition, offset in due.items() if offset is not None})

    async def _commit_offsets(self, due: dict[Partition, int]) -> None:
        if not due:
            return
        try:
            has_answered = await self._consumer.commit(due)
        except Unavailable as outage:
            note_outage(self._readiness, outage)
            return
        if not has_answered:
            return
        note_well(self._readiness, BROKER)
        for partition, offset in due.items():
            if partition in self._offsets:
                self._offsets[partition].committed(offset)

    async def _revoked(self, partitions: Sequence[Partition]) -> None:
        """Partitions are taken away: what runs may end for a moment, then what is settled is committed."""
        gone = {self._offsets[partition] for partition in partitions if partition in self._offsets}
        for offsets in gone:
            offsets.revoked = True  # nothing of it is looked up or started any more
        self._polled = [each for each in self._polled if not each.offsets.revoked]
        await self._slots.drain(lambda work: work.is_void(), SETTLE_ON_REVOKE)
        await self._commit_offsets({o.partition: o.due for o in gone if o.due is not None})
        for offsets in gone:
            self._offsets.pop(offsets.partition, None)


def _putting_back(turn: Hashable, put_back: Callable[[float], Awaitable[None]]) -> Work:
    return Work(PUTTING_BACK, turn, lambda _: put_back(PUT_BACK_OVERFLOW))


async def _within(seconds: float, work: Awaitable[None]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await work
