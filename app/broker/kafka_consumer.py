"""A member of a Kafka consumer group that survives outages of the broker, and starts before its topics exist."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaConnectionError, KafkaError

from app.broker import Beginnings, Bounds, Partition, Record
from app.broker.kafka_options import KafkaOptions, client_arguments, ended, reason_of, why_unreachable
from app.domain.errors import Unavailable
from app.domain.readiness import BROKER
from app.telemetry.once_per import OncePer

log = logging.getLogger(__name__)

LOOK_EVERY = 2.0
"""Seconds between two looks for topics that do not exist yet."""

JOIN_SECONDS = 10.0
STOP_SECONDS = 5.0
"""A member that is just joining waits for the others even when it is to stop; they notice by its session."""

PAUSE = 0.1
"""Least seconds between two polls that fail, for a caller that polls again at once."""

GRACE = 0.5
"""Seconds beyond its timeout that a poll may take; while partitions move the client itself would wait without end."""

OnRevoked = Callable[[Sequence[Partition]], Awaitable[None]]


@dataclass(slots=True)
class _Reached:
    """How far a partition is: the offset committed last, the one behind the record polled last, and where the client
    was when it had no more. That may be further on: nobody is given the marks at the ends of transactions, nor what was
    aborted."""

    committed: int
    polled: int
    position: int

    def settled(self) -> int:
        """The offset below which nothing waits."""
        return max(self.committed, self.position) if self.committed >= self.polled else self.committed


class KafkaConsumer:
    """While the broker is unavailable the client keeps trying and `poll` gives nothing.

    Records of a transaction are given once it is committed, those of an aborted one never. A member that cannot go on
    is given up, which calls `on_revoked`, and the next `poll` joins again.
    """

    def __init__(
        self, options: KafkaOptions, topics: Sequence[str], group: str, beginnings: Beginnings | None = None
    ) -> None:
        self._options = options
        self._beginnings = beginnings
        self._begun: dict[TopicPartition, _Reached] = {}
        """Assigned partitions whose first offset is known. Only with `beginnings`."""
        self._arguments = client_arguments(options)
        self._topics = frozenset(topics)
        self._group = group
        self._member: AIOKafkaConsumer | None = None
        self._on_revoked: OnRevoked | None = None
        self._next_look = 0.0
        self._log_due = OncePer(30.0)

    async def start(self, on_revoked: OnRevoked) -> None:
        """Returns at once; `poll` connects and joins."""
        self._on_revoked = on_revoked

    async def poll(self, timeout: float, max_records: int) -> Sequence[Record]:
        """See Consumer. Also gives nothing while a topic is missing, while partitions move and during short outages."""
        end = time.monotonic() + timeout
        member = self._member or await self._connect(end)
        rest = max(end - time.monotonic(), 0.0)
        try:
            async with asyncio.timeout(rest + GRACE):
                if member.subscription() != self._topics and not await self._subscribe(member, end):
                    return []
                if self._beginnings is not None and not await self._begin(member, self._beginnings):
                    return []
                # Those that come during the call are not among these: nothing of them is taken before it is known where
                # it begins.
                begun = [] if self._beginnings is None else [*self._begun.keys() & member.assignment()]
                rest = max(end - time.monotonic(), 0.0)
                if self._beginnings is not None and not begun:
                    await asyncio.sleep(min(rest, PAUSE))
                    return []
                polled = await member.getmany(*begun, timeout_ms=round(rest * 1000), max_records=max_records)
                await self._note_reached(member, begun, polled)
        except TimeoutError:
            return []
        except (IllegalStateError, CommitFailedError):  # the partitions moved meanwhile
            return []
        except KafkaError as error:
            if not error.retriable:
                await self._give_up(member, reason_of(error))
            await asyncio.sleep(min(rest, PAUSE))
            raise Unavailable(BROKER, reason_of(error)) from error
        return [_record(each) for several in polled.values() for each in several]

    def pause(self, partitions: Sequence[Partition]) -> None:
        if self._member is not None:
            self._member.pause(*self._still_ours(partitions))

    def resume(self, partitions: Sequence[Partition]) -> None:
        if self._member is not None:
            self._member.resume(*self._still_ours(partitions))

    def assigned(self) -> frozenset[Partition]:
        if self._member is None:
            return frozenset()
        return frozenset(Partition(*each) for each in self._member.assignment())

    def lag(self) -> Mapping[str, int]:
        """See Consumer."""
        behind: dict[str, int] = {}
        for partition, reached in self._begun.items():
            if self._member is not None and Partition(*partition) in self.assigned():
                end = self._member.highwater(partition)
                behind.setdefault(partition.topic, 0)
                behind[partition.topic] += max(0, (end or 0) - reached.settled())
        return behind

    async def commit(self, offsets: Mapping[Partition, int]) -> bool:
        """See Consumer. Raises Unavailable if the broker does not answer within `commit_timeout`."""
        member = self._member
        ours = {TopicPartition(*each): offsets[each] for each in offsets.keys() & self.assigned()}
        if member is None or not ours:
            return False
        try:
            async with asyncio.timeout(self._options.commit_timeout):
                await member.commit(ours)
        except (CommitFailedError, IllegalStateError) as error:
            # the partitions have another owner, who will be given the records again
            log.info("a commit was ignored, its partitions are lost: %s", reason_of(error), extra={"component": BROKER})
            return isinstance(error, CommitFailedError)  # the other error is the client's own, no broker was asked
        except TimeoutError:
            raise Unavailable(BROKER, f"no answer to a commit within {self._options.commit_timeout:g}s") from None
        except KafkaError as error:
            raise Unavailable(BROKER, f"commit: {reason_of(error)}") from error
        for partition in ours.keys() & self._begun.keys():
            self._begun[partition].committed = ours[partition]
        return True

    async def stop(self) -> None:
        """Leaves the group. Settle and commit before: `on_revoked` is not called."""
        member, self._member = self._member, None
        if member is not None:
            await _stop(member)

    async def _connect(self, end: float) -> AIOKafkaConsumer:
        """A member without topics yet. Raises Unavailable, not before `end`, so that callers may call again at once."""
        member = AIOKafkaConsumer(
            **self._arguments,
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=round(self._options.session_timeout * 1000),
            heartbeat_interval_ms=round(self._options.session_timeout * 1000 / 3.3),
            rebalance_timeout_ms=round(self._options.rebalance_timeout * 1000),
        )
        try:
            async with asyncio.timeout(JOIN_SECONDS):
                await member.start()
        except (KafkaError, OSError, TimeoutError) as error:
            await _stop(member)
            is_unreachable = isinstance(error, KafkaConnectionError)
            reason = await why_unreachable(self._arguments) if is_unreachable else reason_of(error)
            await asyncio.sleep(max(end - time.monotonic(), PAUSE))
            raise Unavailable(BROKER, reason) from error
        except BaseException:
            await _stop(member)
            raise
        self._member = member
        self._next_look = 0.0
        return member

    async def _begin(self, member: AIOKafkaConsumer, beginnings: Beginnings) -> bool:
        """Commits where the group begins in newly assigned partitions, before the first record of these is polled.

        Returns False while something is left to do. Nothing was polled of these partitions, so a call that is cancelled
        is simply made again.
        """
        new = sorted(member.assignment() - self._begun.keys())
        if not new:
            return True
        for topic in sorted({each.topic for each in new}):  # one after the other: what was done of many stays
            known = [each for each in new if each.topic == topic]
            committed = dict(zip(known, await asyncio.gather(*map(member.committed, known)), strict=True))
            self._begun.update(_begin_at(committed))
            partitions = [each for each, offset in committed.items() if offset is None]
            if not partitions:
                continue
            everywhere = [TopicPartition(topic, number) for number in member.partitions_for_topic(topic) or ()]
            firsts, ends = await member.beginning_offsets(everywhere), await member.end_offsets(everywhere)
            bounds = {each.partition: Bounds(firsts[each], ends[each]) for each in everywhere}
            begins = await beginnings.of(topic, [each.partition for each in partitions], bounds)
            for partition in partitions:
                member.seek(partition, begins[partition.partition])
            first = {each: begins[each.partition] for each in partitions}
            await member.commit(first)
            self._begun.update(_begin_at(first))
            shown = ", ".join(f"{each.partition} at {begins[each.partition]}" for each in partitions)
            log.info("topic %s begins: partition %s", topic, shown, extra={"component": BROKER})
        return not member.assignment() - self._begun.keys()

    async def _note_reached(
        self, member: AIOKafkaConsumer, begun: Iterable[TopicPartition], polled: Mapping[TopicPartition, Sequence[Any]]
    ) -> None:
        for partition, records in polled.items():
            if records and (reached := self._begun.get(partition)) is not None:
                reached.polled = records[-1].offset + 1
        if any(polled.values()):
            return
        for partition in begun:
            position = await member.position(partition)
            if (reached := self._begun.get(partition)) is not None:
                reached.position = position

    async def _subscribe(self, member: AIOKafkaConsumer, end: float) -> bool:
        """Subscribes to those of the topics that exist; waits for the first of them until `end`, and returns whether
        any exists.

        A subscription to a missing topic would not notice that the topic is created, and `start` with one never
        returns.
        """
        while True:
            if time.monotonic() >= self._next_look:
                self._next_look = time.monotonic() + LOOK_EVERY
                await self._look(member)
            rest = end - time.monotonic()
            if member.subscription() or rest <= 0:
                return bool(member.subscription())
            await asyncio.sleep(min(self._next_look - time.monotonic(), rest))

    async def _look(self, member: AIOKafkaConsumer) -> None:
        subscribed = member.subscription()
        try:
            found = self._topics & await member.topics()
        except KafkaError as error:
            raise KafkaConnectionError(f"topics cannot be listed: {reason_of(error)}") from error
        missing = self._topics - found
        if self._beginnings is not None:
            for topic in missing:
                await self._beginnings.missing(topic)
        if missing and self._log_due(missing):
            log.warning("topics are missing: %s", ", ".join(sorted(missing)), extra={"component": BROKER})
        if not found <= subscribed:
            member.subscribe({*found, *subscribed}, listener=_Listener(self._revoked))

    async def _give_up(self, member: AIOKafkaConsumer, reason: str) -> None:
        log.warning("left the group %s, will join anew: %s", self._group, reason, extra={"component": BROKER})
        lost = self.assigned()
        self._member = None
        await self._revoked(lost)
        await _stop(member)

    async def _revoked(self, partitions: frozenset[Partition]) -> None:
        for each in partitions:
            self._begun.pop(TopicPartition(*each), None)
        if partitions and self._on_revoked is not None:
            await self._on_revoked(sorted(partitions))

    def _still_ours(self, partitions: Sequence[Partition]) -> list[TopicPartition]:
        return [TopicPartition(*each) for each in self.assigned().intersection(partitions)]


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    def __init__(self, revoked: Callable[[frozenset[Partition]], Awaitable[None]]) -> None:
        self._revoked = revoked

    async def on_partitions_revoked(self, revoked: Any) -> None:
        await self._revoked(frozenset(Partition(*each) for each in revoked))

    async def on_partitions_assigned(self, assigned: Any) -> None:
        shown = ", ".join(f"{topic}-{number}" for topic, number in sorted(assigned))
        log.info("assigned: %s", shown or "nothing", extra={"component": BROKER})


def _begin_at(offsets: Mapping[TopicPartition, int | None]) -> dict[TopicPartition, _Reached]:
    return {each: _Reached(offset, offset, offset) for each, offset in offsets.items() if offset is not None}


def _record(polled: "ConsumerRecord[bytes, bytes]") -> Record:
    headers = tuple(polled.headers)
    partition = Partition(polled.topic, polled.partition)
    return Record(partition, polled.offset, polled.key, polled.value, headers, polled.timestamp / 1000)


async def _stop(member: AIOKafkaConsumer) -> None:
    """Leaves the group; a broker that is away cannot hold it up."""
    if not await ended(member.stop(), STOP_SECONDS):
        await ended(member._client.close(), STOP_SECONDS)
