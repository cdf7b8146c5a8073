"""Sending to Kafka: each message acknowledged, or refused for good, or Unavailable."""

import asyncio
import random
import time
from contextlib import AbstractAsyncContextManager, nullcontext

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    KafkaError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    ProducerFenced,
    UnknownTopicOrPartitionError,
)
from aiokafka.partitioner import DefaultPartitioner

from app.broker import Message, MessageRejected
from app.broker.kafka_connection import BATCH_SIZE, ProducerConnection
from app.broker.kafka_options import KafkaOptions, reason_of
from app.domain.errors import Unavailable

FATAL = (InvalidProducerEpoch, InvalidProducerIdMapping, OutOfOrderSequenceNumber, ProducerClosed, ProducerFenced)
"""The broker and the producer no longer agree about sequence numbers: only a new producer id helps."""

METADATA_SECONDS = 5.0
"""How long a send looks for a topic it does not know; longer is a topic that is not there, or no broker."""

ATTEMPTS = 5
"""A send survives so many replaced producers: each message that the broker finds too large costs one."""

_partition_of = DefaultPartitioner()


class _RefusedInBatch(Exception):
    """The broker found a batch of several messages too large: whose fault it was shows when they go alone."""


class Producer:
    """Sends with acks=all. A send that timed out may still arrive: everything that is sent may come twice."""

    def __init__(self, options: KafkaOptions, connection: ProducerConnection) -> None:
        self._options = options
        self._connection = connection
        self._alone = asyncio.Lock()
        self._last_ack = time.monotonic()

    async def send(self, message: Message) -> None:
        """Returns once all in-sync replicas have the message. Raises MessageRejected or Unavailable."""
        if size_of(message) > self._options.max_request_size:
            raise _rejected(message)
        seconds = self._options.send_timeout
        started = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                await self._send(message)
        except TimeoutError:
            if self._last_ack < started:  # nothing gets through, not only this partition: a new producer may
                producer = await self._connection.producer(0)
                self._connection.replace(producer, f"no acknowledgement for {seconds:g}s")
            raise Unavailable("broker", f"no acknowledgement within {seconds:g}s for topic {message.topic}") from None
        except KafkaError as error:
            raise Unavailable("broker", f"topic {message.topic}: {reason_of(error)}") from error
        self._last_ack = time.monotonic()

    async def _send(self, message: Message) -> None:
        alone = message.key is None and message.value is None  # `send` refuses such a tombstone, a batch does not
        for _ in range(ATTEMPTS):
            guard: AbstractAsyncContextManager[object] = self._alone if alone else nullcontext()
            try:
                async with guard:
                    await self._attempt(message, alone)
            except FATAL:
                continue
            except _RefusedInBatch:
                alone = True
            else:
                return
        raise Unavailable("broker", f"{ATTEMPTS} producers in a row had to be replaced")

    async def _attempt(self, message: Message, alone: bool) -> None:
        producer = await self._connection.producer()
        if producer.client.cluster.partitions_for_topic(message.topic) is None:
            await _find_topic(producer, message.topic)
        try:
            if alone:
                await _deliver_alone(producer, message)
            else:
                await self._deliver(producer, message)
        except FATAL as error:
            self._connection.replace(producer, reason_of(error))
            raise
        except MessageSizeTooLargeError as error:
            # the refused batch has used up sequence numbers, those that follow would not be taken
            self._connection.replace(producer, reason_of(error))
            if alone or size_of(message) > BATCH_SIZE:
                raise _rejected(message) from error
            raise _RefusedInBatch from error

    async def _deliver(self, producer: AIOKafkaProducer, message: Message) -> None:
        future = await producer.send(message.topic, message.value, message.key, headers=message.headers or None)
        pending = self._connection.pending
        pending.add(future)
        try:
            await future
        finally:
            pending.discard(future)


async def _deliver_alone(producer: AIOKafkaProducer, message: Message) -> None:
    batch = producer.create_batch()
    batch.append(key=message.key, value=message.value, timestamp=None, headers=list(message.headers))
    batch.close()
    partitions = sorted(await producer.partitions_for(message.topic))
    partition = random.choice(partitions) if message.key is None else _partition_of(message.key, partitions, [])
    await (await producer.send_batch(batch, message.topic, partition=partition))


async def _find_topic(producer: AIOKafkaProducer, topic: str) -> None:
    try:
        async with asyncio.timeout(METADATA_SECONDS):
            await producer.partitions_for(topic)
    except (TimeoutError, UnknownTopicOrPartitionError):
        raise Unavailable("broker", f"topic {topic} does not exist, or no broker answers") from None


def size_of(message: Message) -> int:
    """Bytes of a message on the wire, nearly; what the frame around it takes is allowed for."""
    size = 100 + len(message.key or b"") + len(message.value or b"")
    for name, value in message.headers:
        size += len(name) + len(value) + 10
    return size


def _rejected(message: Message) -> MessageRejected:
    return MessageRejected(f"a message of {size_of(message)} bytes is too large for topic {message.topic}")
