"""Sends to Kafka: each message is acknowledged, or permanently refused, or Unavailable is raised."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from app.broker import Message, MessageRejected, send_each
from app.broker.kafka_batches import BatchedSends
from app.broker.kafka_connection import BATCH_SIZE, ProducerConnection
from app.broker.kafka_errors import FATAL, TOO_LARGE
from app.broker.kafka_options import KafkaOptions, reason_of
from app.broker.kafka_partitioner import partition_of
from app.domain.errors import Unavailable
from app.domain.readiness import BROKER

REMEMBERED = 10.0
"""Seconds for which nothing of a size that a topic refused is sent to it: each refusal costs a producer, and with it
everybody who sends at that moment an attempt."""

METADATA_SECONDS = 5.0
"""How long a send looks for a topic it does not know; longer is a topic that is not there, or no broker."""

ATTEMPTS = 5
"""A send survives so many replaced producers: each message that the broker finds too large costs one."""


class _RefusedInBatch(Exception):
    """The broker refused a batch of several messages as too large: each message is then sent alone, to find the large
    one."""


class Producer:
    """Sends with acks=all. A send that timed out may still arrive: everything that is sent may come twice."""

    def __init__(self, options: KafkaOptions, connection: ProducerConnection) -> None:
        self._options = options
        self._connection = connection
        self._alone = asyncio.Lock()
        self._last_ack = time.monotonic()
        self._refused: dict[str, tuple[int, float]] = {}
        """Topic → the smallest size that it refused lately, and until when that is remembered."""
        self._one_by_one: dict[str, float] = {}
        """Topics that refused a batch lately: until when each of their messages is sent alone."""

    async def send(self, message: Message) -> None:
        """Returns once all in-sync replicas have the message. Raises MessageRejected or Unavailable."""
        size, most = size_of(message), self._options.max_request_size
        if size > most:
            raise MessageRejected(message.topic, f"a message of {size} bytes is too large: {most} are the most we send")
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._options.send_timeout):
                await self._send(message)
        except TimeoutError:
            raise await self._overdue(started, message.topic) from None
        except KafkaError as error:
            raise Unavailable(BROKER, f"topic {message.topic}: {reason_of(error)}") from error
        self._last_ack = time.monotonic()

    async def send_all(self, messages: Sequence[Message]) -> Sequence[BaseException | None]:
        """Sends many in few batches. Returns for each, in order, None or what `send` would raise.

        What fails with its batch is sent again alone, within the `send_timeout` of its own.
        """
        started = time.monotonic()
        fitting = {at: message for at, message in enumerate(messages) if self._may_batch(message)}
        batched = BatchedSends(self._connection, fitting)
        overdue: BaseException | None = None
        try:
            async with asyncio.timeout(self._options.send_timeout):
                await batched.run()
        except TimeoutError:
            overdue = await self._overdue(started, messages[0].topic)
        except Unavailable as outage:
            overdue = outage
        for topic in batched.small:
            self._remember_small(topic)
        if batched.sent:
            self._last_ack = time.monotonic()
        rest = [at for at in range(len(messages)) if at not in batched.sent]
        alone = await send_each(self.send, [messages[at] for at in rest]) if overdue is None else [overdue] * len(rest)
        answers = dict(zip(rest, alone, strict=True))
        return [answers.get(at) for at in range(len(messages))]

    def _may_batch(self, message: Message) -> bool:
        fits = size_of(message) <= self._options.max_request_size
        return fits and not self._refuses(message) and not self._is_small(message.topic)

    async def _overdue(self, started: float, topic: str) -> Unavailable:
        """The outage of sends that were not acknowledged in time."""
        seconds = self._options.send_timeout
        if self._last_ack < started:  # nothing gets through, not only this partition: a new producer may
            producer = await self._connection.producer(0)
            self._connection.replace(producer, f"no acknowledgement for {seconds:g}s")
        return Unavailable(BROKER, f"no acknowledgement within {seconds:g}s for topic {topic}")

    async def _send(self, message: Message) -> None:
        is_tombstone = message.key is None and message.value is None  # `send` refuses it, a batch does not
        for _ in range(ATTEMPTS):
            alone = is_tombstone or self._is_small(message.topic)
            guard: AbstractAsyncContextManager[object] = self._alone if alone else nullcontext()
            try:
                async with guard:
                    await self._attempt(message, alone)
            except FATAL:
                continue
            except _RefusedInBatch:
                self._remember_small(message.topic)
            else:
                return
        raise Unavailable(BROKER, f"{ATTEMPTS} producers in a row had to be replaced")

    async def _attempt(self, message: Message, alone: bool) -> None:
        if self._refuses(message):
            raise _rejected(message)
        producer = await self._connection.producer()
        if producer.client.cluster.partitions_for_topic(message.topic) is None:
            await _find_topic(producer, message.topic)
        try:
            if alone:
                await self._deliver_alone(producer, message)
            else:
                await self._deliver(producer, message)
        except FATAL as error:
            self._connection.replace(producer, reason_of(error))
            raise
        except TOO_LARGE as error:
            # the refused batch has used up sequence numbers, those that follow would not be taken
            self._connection.replace(producer, reason_of(error))
            if alone or size_of(message) > BATCH_SIZE:
                self._remember_refused(message)
                raise _rejected(message) from error
            raise _RefusedInBatch from error

    def _remember_refused(self, message: Message) -> None:
        known, until = self._refused.get(message.topic, (0, 0.0))
        now, size = time.monotonic(), size_of(message)
        self._refused[message.topic] = (min(known, size) if now < until else size, now + REMEMBERED)

    def _remember_small(self, topic: str) -> None:
        self._one_by_one[topic] = time.monotonic() + REMEMBERED

    def _is_small(self, topic: str) -> bool:
        return topic in self._one_by_one and time.monotonic() < self._one_by_one[topic]

    def _refuses(self, message: Message) -> bool:
        """Whether its topic refused a message of that size lately."""
        size, until = self._refused.get(message.topic, (0, 0.0))
        return time.monotonic() < until and size_of(message) >= size

    async def _deliver(self, producer: AIOKafkaProducer, message: Message) -> None:
        await self._connection.answered(
            await producer.send(message.topic, message.value, message.key, headers=message.headers or None)
        )

    async def _deliver_alone(self, producer: AIOKafkaProducer, message: Message) -> None:
        batch = producer.create_batch()
        batch.append(key=message.key, value=message.value, timestamp=None, headers=list(message.headers))
        batch.close()
        partition = partition_of(message.key, sorted(await producer.partitions_for(message.topic)), ())
        await self._connection.acknowledged(await producer.send_batch(batch, message.topic, partition=partition))


async def _find_topic(producer: AIOKafkaProducer, topic: str) -> None:
    try:
        async with asyncio.timeout(METADATA_SECONDS):
            await producer.partitions_for(topic)
    except (TimeoutError, UnknownTopicOrPartitionError):
        raise Unavailable(BROKER, f"topic {topic} does not exist, or no broker answers") from None


def size_of(message: Message) -> int:
    """The approximate size of a message on the wire in bytes; the caller allows for the frame around it."""
    size = 100 + len(message.key or b"") + len(message.value or b"")
    for name, value in message.headers:
        size += len(name) + len(value or b"") + 10
    return size


def _rejected(message: Message) -> MessageRejected:
    enough = 1 << size_of(message).bit_length()  # a power of two: the reason stays the same for many messages
    reason = f"a message is too large for it: set its max.message.bytes (and segment.bytes) to {enough} or more"
    return MessageRejected(message.topic, reason)
