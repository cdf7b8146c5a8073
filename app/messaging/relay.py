"""The relay: claims commands of an outbox, publishes them with no transaction open, and marks them."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic

from sqlalchemy.ext.asyncio import AsyncConnection

from app.broker import Broker, Message, MessageRejected
from app.db import clock_repair, outbox
from app.db.database import Database
from app.domain.errors import Unavailable
from app.domain.readiness import BROKER, DATABASE, SCHEMA_REGISTRY, Readiness
from app.messaging.owed import Commands, Owed
from app.outages import note_available, note_outage
from app.telemetry import metrics, traces

BATCH = 500
"""Commands of one claim: few enough to be sent well within their lease."""

LEASE = timedelta(seconds=30)
"""A claim of a process that died becomes free after this time; a slower send happens twice, which is harmless."""

IDLE = 0.5
"""Seconds between two claims when nothing wakes the relay (other processes submit and settle too)."""

SKEW = timedelta(seconds=60)
"""How much clocks may differ, and how far the time of day may be set back, without any repair."""

OWE_AGAIN_EVERY = 30.0
"""Seconds between two searches for commands without an answer."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """`window`: the largest number of commands of one job that are published and not answered.

    `redelivery_after`: seconds after which a command without an answer is published again.
    """

    window: int
    redelivery_after: float


@dataclass(frozen=True, slots=True)
class Clocks:
    """The time of day, which may be set back, and a monotonic clock in seconds, which may not."""

    now: Callable[[], datetime]
    steady: Callable[[], float]


CLOCKS = Clocks(lambda: datetime.now(UTC), monotonic)


class Relay:
    """Publishes the commands of one kind while it runs; call `wake` when a command may be due."""

    def __init__(
        self,
        database: Database,
        broker: Broker,
        readiness: Readiness,
        commands: Commands,
        options: RelayOptions,
        clocks: Clocks = CLOCKS,
    ) -> None:
        self._database = database
        self._broker = broker
        self._readiness = readiness
        self._commands = commands
        self._window = options.window
        self._redelivery_after = timedelta(seconds=options.redelivery_after)
        self._now = clocks.now
        self._clock = clocks.steady
        self._wall: float | None = None
        """By how many seconds the time of day was ahead of the steady clock when the two were last compared."""
        self._woken = asyncio.Event()
        self._settled = 0
        self._full = False
        """Whether the last claim was as large as a claim may be: more commands are due then. Otherwise all commands are
        published, or each window is full."""
        self._next_owing = 0.0
        self._waits_for_schema = False

    def wake(self) -> None:
        self._woken.set()

    def settled(self, count: int) -> None:
        """Counts `count` answered commands, and wakes the relay once the answers have made room for a batch.

        A claim costs as much as 20 tasks. Without a wake the relay claims again after `IDLE`; until then at least nine
        tenths of each window are with the broker.
        """
        self._settled += count
        if self._settled >= min(BATCH, self._window // 10):
            self.wake()

    async def run(self, stop: asyncio.Event, *, forgotten: bool = False) -> None:
        """Publishes until `stop`; outages only delay it.

        `forgotten`: the broker has lost all records published before.
        """
        while not stop.is_set():
            try:
                if forgotten:
                    await self.owe_again(None)
                    forgotten = False
                await self.look_at_clock()
                await self.publish_once()
                await self._owe_again()
            except Unavailable as outage:
                note_outage(self._readiness, outage)
                self._full = False
            if not self._full:
                await self._pause(stop)

    async def _pause(self, stop: asyncio.Event) -> None:
        waiting = {asyncio.create_task(self._woken.wait()), asyncio.create_task(stop.wait())}
        await asyncio.wait(waiting, timeout=IDLE, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        self._woken.clear()

    async def publish_once(self) -> int:
        """Makes one claim and sends it; returns how many commands were sent.

        When the broker is unavailable, the unsent commands are released and Unavailable is raised. While the schema
        registry is unavailable and the id of their schema not known yet, nothing is claimed and Unavailable is raised.
        A command that its topic refuses keeps its lease: it is tried again when the lease ends. Until then it counts in
        the window of its job, so that a job whose commands are all refused is not tried without pause.
        """
        self._settled = 0
        await self._prepare_encoder()
        box = self._commands.box
        now = self._now()
        lease = now + LEASE
        owed = await self._database.run(lambda c: self._claim(c, now, lease))
        note_available(self._readiness, DATABASE)
        self._full = len(owed) >= BATCH or len({each.item.owner_id for each in owed}) >= outbox.OWNERS_PER_CLAIM
        if not owed:
            return 0
        metrics.BATCH_CLAIM.observe(len(owed))
        results = await self._send_all(owed)
        sent, failed, errors = [], [], []
        for command, result in zip(owed, results, strict=True):
            if result is None:
                sent.append(command.item)
            elif isinstance(result, MessageRejected):
                note_outage(self._readiness, result)
            else:
                failed.append(command.item)
                errors.append(result)
        if sent:
            await self._database.run(lambda c: outbox.mark_published(c, box, sent, lease, self._now()))
            metrics.COMMANDS_PUBLISHED.inc(len(sent))
            note_available(self._readiness, BROKER)
        if failed:
            await self._database.run(lambda c: outbox.release(c, box, failed, lease))
            raise errors[0]
        return len(sent)

    async def _prepare_encoder(self) -> None:
        if not self._commands.encoder.is_ready:
            self._waits_for_schema = True
            await self._commands.encoder.prepare()
        if self._waits_for_schema:  # somebody else may have prepared it meanwhile
            self._waits_for_schema = False
            note_available(self._readiness, SCHEMA_REGISTRY)

    async def look_at_clock(self) -> None:
        """When the time of day was set back, repairs the times in the outbox that would now hold work for too long."""
        now = self._now()
        wall = now.timestamp() - self._clock()
        is_first, went_back = self._wall is None, self._wall is not None and wall < self._wall - SKEW.total_seconds()
        if is_first or went_back:
            served_after = now + SKEW if is_first else None  # before our time: only what shows that it happened
            total = 0
            while count := await self._database.run(
                lambda c: clock_repair.bring_back(c, self._commands.box, now, lease=LEASE, served_after=served_after)
            ):
                total += count
            await self._database.run(lambda c: clock_repair.release_owners(c, self._commands.box, now, served_after))
            if went_back or total:
                log.warning("the clock was set back: %d commands that would have waited too long are due now", total)
        self._wall = wall

    async def _claim(self, connection: AsyncConnection, now: datetime, lease: datetime) -> list[Owed]:
        items = await outbox.claim(
            connection, self._commands.box, now, lease_until=lease, window=self._window, batch=BATCH
        )
        return await self._commands.load(connection, items) if items else []

    async def _send_all(self, owed: Sequence[Owed]) -> Sequence[BaseException | None]:
        """Each in a span of its own. None, or why it was not sent, for each."""
        name, began = f"publish {self._commands.name}", monotonic()
        spans = [traces.start(name, "producer", each.traceparent, trace_id=each.trace_id) for each in owed]
        messages = []
        for each, span in zip(owed, spans, strict=True):
            topic, key, value = each.message.topic, each.message.key, each.message.value
            messages.append(Message(topic, key, value, [("traceparent", span.traceparent.encode())]))
        results = await self._broker.send_all(messages)
        seconds = monotonic() - began
        for span, result in zip(spans, results, strict=True):
            with span:
                metrics.SEND_COMMAND.observe(seconds)
                if result is not None:
                    span.record_error(result)
        return results

    async def _owe_again(self) -> None:
        if self._clock() < self._next_owing:
            return
        self._next_owing = self._clock() + OWE_AGAIN_EVERY
        await self.owe_again(self._now() - self._redelivery_after)
        box = self._commands.box
        outstanding = await self._database.run(lambda c: outbox.count_outstanding(c, box))
        metrics.COMMANDS_OUTSTANDING.labels(self._commands.name).set(outstanding)

    async def owe_again(self, published_before: datetime | None) -> None:
        """Makes commands without an answer due again: those of topics that lost records; all (None) for the embedded
        broker."""
        total = 0
        while count := await self._database.run(lambda c: outbox.owe_again(c, self._commands.box, published_before)):
            total += count
        if total:
            log.warning("%d commands were not answered in time and are published again", total)
