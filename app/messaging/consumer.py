"""The command loop: poll, look up tasks, start work, commit settled offsets. It polls on while work waits."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Sequence, Set
from time import monotonic
from typing import Protocol

from typing_extensions import override

from app.broker import Consumer, Partition, Record
from app.domain.errors import Unavailable
from app.domain.readiness import BROKER, Readiness
from app.messaging.dead_letters import DeadLetterWork, SendDeadLetter
from app.messaging.dispatch import Acknowledged, Answer, DeadLetter, Undecoded
from app.messaging.offsets import Offsets
from app.messaging.slots import Slots
from app.messaging.undecoded import FindSchema, Taken, WaitingForSchemas
from app.messaging.work import Free, PuttingBack, Work
from app.outages import note_available, note_outage

POLL_RECORDS = 500
POLL_TIMEOUT = 0.2
"""Seconds that a poll waits; also the longest time until a higher limit or a stop is noticed."""

COMMIT_EVERY = 0.5
"""Seconds between commits: each command that a crash delivers again costs one look-up."""

SETTLE_ON_REVOKE = 5.0
"""Seconds that running work may take to end when its partition is revoked; after a longer time the group expels this
member."""

LAST_COMMIT, LEAVE = 1.0, 1.5
"""Seconds for the last commit and for leaving the group: milliseconds, unless the broker is away."""

PUT_BACK_OVERFLOW = 30.0
"""Seconds for which commands of a slow source are put back when they fill the memory (`Slots.most_in_hand`)."""

log = logging.getLogger(__name__)


class Settling(Work):
    """Runs the work of a record and settles the record when the work has ended well or was put back."""

    __slots__ = ("_offsets", "_record", "_work", "lane", "turn")

    def __init__(self, work: Work, record: Record, offsets: Offsets) -> None:
        self.lane = work.lane
        self.turn = work.turn
        self._work = work
        self._record = record
        self._offsets = offsets

    @override
    async def run(self, free: Free) -> None:
        await self._work.run(free)
        self._offsets.settle(self._record)

    @override
    @property
    def is_urgent(self) -> bool:
        return self._work.is_urgent

    @override
    @property
    def can_be_put_back(self) -> bool:
        return self._work.can_be_put_back

    @override
    async def put_back(self, seconds: float) -> None:
        await self._work.put_back(seconds)
        self._offsets.settle(self._record)

    @override
    @property
    def is_void(self) -> bool:
        return self._offsets.revoked


class Receiver(Protocol):
    """Says what is to be done for records: `Dispatcher`, `LiveReceiver`."""

    async def receive(self, records: Sequence[Record]) -> Sequence[Answer | Undecoded]:
        """One answer for each record, in order. It waits for the database only, never for the schema registry."""

    def revoked(self, partitions: Sequence[Partition]) -> None:
        """These partitions have another owner; their records may come again."""

    def on_hold(self) -> Set[Partition]:
        """Partitions of which no record is taken until a schema is known: nothing more of them has to be polled."""


class CommandLoop:
    """One member of a consumer group.

    The mutable state: the offsets of each assigned partition; the polled records that wait for their look-up; the
    look-up that runs; the records that wait for a schema; and, in the slots, all accepted work.
    """

    def __init__(
        self,
        consumer: Consumer,
        receiver: Receiver,
        slots: Slots,
        send_dead_letter: SendDeadLetter,
        readiness: Readiness,
        find_schema: FindSchema | None = None,
    ) -> None:
        """`find_schema` is needed where records may be `Undecoded`."""
        self._consumer = consumer
        self._receiver = receiver
        self._slots = slots
        self._send_dead_letter = send_dead_letter
        self._readiness = readiness
        self._offsets: dict[Partition, Offsets] = {}
        self._polled: list[Taken] = []
        self._undecoded = WaitingForSchemas(find_schema, self._polled_again)
        self._look_up: asyncio.Task[None] | None = None
        self._looked_up = 0
        """Records of the look-up that runs."""
        self._paused: Set[Partition] = frozenset()
        self._last_commit = 0.0

    @property
    def in_flight(self) -> int:
        """Commands that are being worked on."""
        return self._slots.running

    @property
    def in_hand(self) -> int:
        """Commands that were received and whose work has not started."""
        return len(self._polled) + self._looked_up + self._slots.in_hand - self._slots.running

    @property
    def _is_full(self) -> bool:
        """Records of partitions that are held do not count: these are paused, and the others have to go on."""
        waiting = self._undecoded.number(apart_from=self._receiver.on_hold())
        return self._slots.in_hand + waiting >= self._slots.most_in_hand

    async def run(self, stop: asyncio.Event, shutdown_timeout: float) -> None:
        """Handles commands until `stop`. Then it starts no more work, gives running work `shutdown_timeout` seconds,
        commits and leaves the group.

        Committing and leaving take up to `LAST_COMMIT` and `LEAVE` seconds more. Raises the exception of a look-up, of
        tasks or of a schema.
        """
        await self._consumer.start(self._revoked)
        try:
            while not stop.is_set():
                await self._wait_for_look_up()
                self._undecoded.check()
                self._hold_back(self._look_up is not None or self._is_full)
                # While a look-up runs nothing is taken, and what it waits for may come at any time.
                await self._poll(POLL_TIMEOUT if self._look_up is None else 0)
                self._begin_look_up()
                await self._make_room()
                self._slots.fill()
                await self._commit_sometimes()
        finally:
            if self._look_up is not None:
                self._look_up.cancel()
            self._undecoded.cancel()
            await self._slots.stop(shutdown_timeout)
            await _within(LAST_COMMIT, self._commit())
            await _within(LEAVE, self._consumer.stop())
            if self._look_up is not None and self._look_up.done() and not self._look_up.cancelled():
                self._look_up.result()

    async def _poll(self, timeout: float) -> None:
        try:
            records = await self._consumer.poll(timeout, POLL_RECORDS)
        except Unavailable as outage:
            note_outage(self._readiness, outage)
            await asyncio.sleep(POLL_TIMEOUT)
            return
        if records:
            self._readiness.got_through(BROKER)
        for record in records:
            offsets = self._offsets_of(record.partition)
            offsets.take(record)
            self._polled.append(Taken(record, offsets))

    def _begin_look_up(self) -> None:
        """Starts a look-up; only one runs at a time.

        Records may arrive while it runs, as partitions that were just assigned are not paused yet: these records wait
        for the next look-up.
        """
        if self._polled and self._look_up is None:
            polled, self._polled = self._polled, []
            self._looked_up = len(polled)
            self._look_up = asyncio.create_task(self._receive(polled))

    def _polled_again(self, taken: Sequence[Taken]) -> None:
        """The schema of these records was found, or found to be unknown: they are looked up like polled ones."""
        self._polled += [each for each in taken if not each.offsets.revoked]

    async def _wait_for_look_up(self) -> None:
        """Waits a short time for the running look-up. Raises the exception of the look-up."""
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
        """Pauses all partitions while `full`, else those that are held; called before each poll, as the assigned
        partitions change."""
        assigned = self._consumer.assigned()
        paused = assigned if full else assigned & self._receiver.on_hold()
        if paused:
            self._consumer.pause(list(paused))
        if again := assigned & self._paused - paused:
            self._consumer.resume(list(again))
        self._paused = paused

    async def _receive(self, polled: Sequence[Taken]) -> None:
        """Looks all polled commands up at once and hands their work to the slots."""
        taken = [each for each in polled if not each.offsets.revoked]
        answers = await self._receiver.receive([each.record for each in taken]) if taken else []
        self._looked_up = 0
        for (record, offsets), answer in zip(taken, answers, strict=True):
            if offsets.revoked:
                continue
            if isinstance(answer, Acknowledged):
                offsets.settle(record)
                continue
            if isinstance(answer, Undecoded):
                self._undecoded.add(answer.schema_id, Taken(record, offsets))
                continue
            if isinstance(answer, DeadLetter):
                answer = DeadLetterWork(record, answer.reason, self._send_dead_letter)
            self._slots.add(Settling(answer, record, offsets))
        self._slots.fill()

    async def _make_room(self) -> None:
        if self._slots.in_hand < self._slots.most_in_hand:
            return
        for work in self._slots.overflow():
            self._slots.add(PuttingBack(work, PUT_BACK_OVERFLOW) if work.can_be_put_back else work)

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
        note_available(self._readiness, BROKER)
        for partition, offset in due.items():
            if partition in self._offsets:
                self._offsets[partition].committed(offset)

    async def _revoked(self, partitions: Sequence[Partition]) -> None:
        """Partitions are revoked: running work gets a short time to end, then settled offsets are committed."""
        gone = {self._offsets[partition] for partition in partitions if partition in self._offsets}
        for offsets in gone:
            offsets.revoked = True  # nothing of it is looked up or started any more
        self._polled = [each for each in self._polled if not each.offsets.revoked]
        self._undecoded.forget_revoked()
        self._receiver.revoked(partitions)
        await self._slots.drain(lambda work: work.is_void, SETTLE_ON_REVOKE)
        await self._commit_offsets({o.partition: o.due for o in gone if o.due is not None})
        for offsets in gone:
            self._offsets.pop(offsets.partition, None)


async def _within(seconds: float, work: Awaitable[None]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await work
