"""One idempotent producer: connected in the background, replaced when it is broken, each send acknowledged."""

import asyncio
import contextlib
import logging
import random
import time
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    ProducerFenced,
    UnknownTopicOrPartitionError,
)
from aiokafka.partitioner import DefaultPartitioner

from app.broker import Message, MessageRejected
from app.broker.kafka_options import KafkaOptions, client_arguments, ended, reason_of, why_unreachable
from app.domain.errors import Unavailable
from app.telemetry.logs import OncePer

log = logging.getLogger(__name__)

FATAL = (InvalidProducerEpoch, InvalidProducerIdMapping, OutOfOrderSequenceNumber, ProducerClosed, ProducerFenced)
"""The broker and the producer no longer agree about sequence numbers: only a new producer id helps."""

BATCH_SIZE = 16_384
"""Bytes of a batch. A larger one has a single message, so a refusal for its size is about that very message."""

METADATA_SECONDS = 5.0
"""How long a send looks for a topic it does not know; longer is a topic that is not there, or no broker."""

CONNECT_SECONDS = 2.0
"""How long a send waits for a first or new connection."""

ATTEMPTS = 5
"""A send survives so many replaced producers: each message that the broker finds too large costs one."""

STOP_SECONDS = 5.0
_partition_of = DefaultPartitioner()


class Producer:
    """Sends with acks=all. A send that timed out may still arrive: everything that is sent may come twice."""

    def __init__(self, options: KafkaOptions) -> None:
        self._options = options
        self._arguments = client_arguments(options)
        self._current: AIOKafkaProducer | None = None
        self._connected = asyncio.Event()
        self._connector: asyncio.Task[None] | None = None
        self._pending: set[asyncio.Future[Any]] = set()
        self._discards: set[asyncio.Task[None]] = set()
        self._alone = asyncio.Lock()
        self._reason = "not connected yet"
        self._last_ack = time.monotonic()
        self._log_due = OncePer(30.0)

    def connect(self) -> None:
        """Connects in the background and keeps trying."""
        if self._connector is None or self._connector.done():
            self._connected.clear()
            self._connector = asyncio.create_task(self._connect(), name="kafka-producer-connect")

    async def connected(self, timeout: float = CONNECT_SECONDS) -> AIOKafkaProducer:
        """The producer in use. Raises Unavailable with the reason when there is none after `timeout` seconds."""
        if self._current is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._connected.wait()
        if self._current is None:
            raise Unavailable("broker", self._reason)
        return self._current

    async def send(self, message: Message) -> None:
        """Returns once all in-sync replicas have the message. Raises MessageRejected or Unavailable."""
        deadline = self._options.send_timeout
        try:
            async with asyncio.timeout(deadline):
                await self._send(message)
        except TimeoutError:
            if time.monotonic() - self._last_ack > deadline:
                self._replace(self._current, f"no acknowledgement for {deadline:g}s")
            raise Unavailable("broker", f"no acknowledgement within {deadline:g}s for topic {message.topic}") from None
        except KafkaError as error:
            raise Unavailable("broker", f"topic {message.topic}: {reason_of(error)}") from error

    async def close(self) -> None:
        """Sends what is pending, for a few seconds."""
        if self._connector is not None:
            self._connector.cancel()
            await asyncio.gather(self._connector, return_exceptions=True)
        current, self._current = self._current, None
        if current is not None:
            await _discard(current)
        await asyncio.gather(*self._discards, return_exceptions=True)

    async def _send(self, message: Message) -> None:
        alone = message.key is None and message.value is None  # `send` refuses such a tombstone, a batch does not
        for attempt in range(1, ATTEMPTS + 1):
            producer = await self.connected()
            if producer.client.cluster.partitions_for_topic(message.topic) is None:
                await self._find_topic(producer, message.topic)
            try:
                await (self._deliver_alone if alone else self._deliver)(producer, message)
            except FATAL as error:
                self._replace(producer, reason_of(error))
                if attempt == ATTEMPTS:
                    raise
            except MessageSizeTooLargeError as error:
                # the refused batch has used up sequence numbers, those that follow would not be taken
                self._replace(producer, reason_of(error))
                if alone or size_of(message) > BATCH_SIZE:
                    raise _rejected(message) from error
                alone = True  # it was in a batch with others, one of which was too large
            else:
                self._last_ack = time.monotonic()
                return

    async def _deliver(self, producer: AIOKafkaProducer, message: Message) -> None:
        if size_of(message) > self._options.max_request_size:
            raise _rejected(message)
        future = await producer.send(
            message.topic, message.value, message.key, headers=message.headers if message.headers else None
        )
        self._pending.add(future)
        try:
            await future
        finally:
            self._pending.discard(future)

    async def _deliver_alone(self, producer: AIOKafkaProducer, message: Message) -> None:
        async with self._alone:
            await (await self._send_alone(self._current or producer, message))

    async def _send_alone(self, producer: AIOKafkaProducer, message: Message) -> asyncio.Future[Any]:
        batch = producer.create_batch()
        batch.append(key=message.key, value=message.value, timestamp=None, headers=list(message.headers))
        batch.close()
        partitions = sorted(await producer.partitions_for(message.topic))
        partition = random.choice(partitions) if message.key is None else _partition_of(message.key, partitions, [])
        future: asyncio.Future[Any] = await producer.send_batch(batch, message.topic, partition=partition)
        return future

    async def _find_topic(self, producer: AIOKafkaProducer, topic: str) -> None:
        try:
            async with asyncio.timeout(METADATA_SECONDS):
                await producer.partitions_for(topic)
        except (TimeoutError, UnknownTopicOrPartitionError):
            raise Unavailable("broker", f"topic {topic} does not exist, or no broker answers") from None

    async def _connect(self) -> None:
        pause = 0.2
        while True:
            producer = AIOKafkaProducer(
                **self._arguments,
                acks="all",
                enable_idempotence=True,
                linger_ms=0,
                max_batch_size=BATCH_SIZE,
                # Producer compares the size itself: the client's estimate needs the metadata of the topic first
                max_request_size=2 * self._options.max_request_size,
                compression_type=self._options.compression,
            )
            try:
                await producer.start()
            except asyncio.CancelledError:
                await _discard(producer)
                raise
            except Exception as error:  # whatever it is, the next try may succeed, and nobody else would try again
                await _discard(producer)
                is_unreachable = isinstance(error, KafkaConnectionError)
                self._reason = await why_unreachable(self._arguments) if is_unreachable else reason_of(error)
                if self._log_due(self._reason):
                    log.warning("no Kafka broker: %s", self._reason, extra={"component": "broker"})
            else:
                self._current = producer
                self._last_ack = time.monotonic()
                self._connected.set()
                log.info("connected to Kafka", extra={"component": "broker"})
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, 5.0)

    def _replace(self, broken: AIOKafkaProducer | None, reason: str) -> None:
        """Takes a new producer, unless another send did so already; what waits for the broken one is told."""
        if broken is None or broken is not self._current:
            return
        log.warning("Kafka producer is replaced: %s", reason, extra={"component": "broker"})
        self._current = None
        self._reason = reason
        pending, self._pending = self._pending, set()
        for future in pending:
            if not future.done():
                future.set_exception(ProducerClosed())
        discard = asyncio.create_task(_discard(broken))
        self._discards.add(discard)
        discard.add_done_callback(self._discards.discard)
        self.connect()


def size_of(message: Message) -> int:
    """Bytes of a message on the wire, nearly; what the frame around it takes is allowed for."""
    headers = sum(len(name.encode()) + len(value) + 10 for name, value in message.headers)
    return len(message.key or b"") + len(message.value or b"") + headers + 100


def _rejected(message: Message) -> MessageRejected:
    return MessageRejected(f"a message of {size_of(message)} bytes is too large for topic {message.topic}")


async def _discard(producer: AIOKafkaProducer) -> None:
    """Stops a producer. Its own `stop` waits without end for a broker that is away."""
    if await ended(producer.stop(), STOP_SECONDS):
        return
    sender = producer._sender.sender_task
    if sender is not None:
        sender.cancel()
    await ended(producer.client.close(), STOP_SECONDS)
