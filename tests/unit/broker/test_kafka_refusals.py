"""What Kafka finds too large: the topic is named with what to do, and its size is not tried again and again."""

import asyncio
import time
from typing import Any, cast

import pytest
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from app.broker import Message, MessageRejected
from app.broker.kafka_connection import ProducerConnection
from app.broker.kafka_options import KafkaOptions
from app.broker.kafka_producer import REMEMBERED, Producer, size_of
from app.domain.errors import Unavailable


class Cluster:
    def partitions_for_topic(self, topic: str) -> set[int]:
        return {0}


class Client:
    cluster = Cluster()


class Batch:
    """Takes `room` bytes of values, or one value of any size."""

    def __init__(self, room: int) -> None:
        self.values: list[bytes] = []
        self.room = room

    def append(self, *, key: Any, value: bytes | None, timestamp: Any, headers: Any) -> object:
        if self.values and sum(map(len, self.values)) + len(value or b"") > self.room:
            return None
        self.values.append(value or b"")
        return object()

    def close(self) -> None: ...


class Kafka:
    """In the place of connection and client: each topic takes values up to `most` bytes."""

    def __init__(self, most: int, error: type[Exception] = MessageSizeTooLargeError) -> None:
        self.client = Client()
        self.most = most
        self.error: type[Exception] = error
        self.asked = self.replaced = 0
        self.stored: list[bytes] = []
        self.promised: list[asyncio.Future[None]] = []
        self.is_silent = False
        self.pending: set[Any] = set()

    acknowledged = ProducerConnection.acknowledged
    answered = ProducerConnection.answered

    async def producer(self, timeout: float = 0) -> "Kafka":
        return self

    def replace(self, broken: "Kafka", reason: str) -> None:
        self.replaced += 1

    async def send(self, topic: str, value: bytes | None, key: bytes | None, headers: Any) -> asyncio.Future[None]:
        return self.take([value or b""])

    def take(self, values: list[bytes]) -> asyncio.Future[None]:
        self.asked += 1
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.promised.append(done)
        if self.is_silent:
            return done
        if sum(map(len, values)) > self.most:
            done.set_exception(self.error())
        else:
            self.stored += values
            done.set_result(None)
        return done

    def create_batch(self) -> Batch:
        return Batch(10_000)

    async def partitions_for(self, topic: str) -> set[int]:
        return {0}

    async def send_batch(self, batch: Batch, topic: str, partition: int) -> asyncio.Future[None]:
        return self.take(batch.values)


def producer(kafka: Kafka, **options: Any) -> Producer:
    return Producer(KafkaOptions("127.0.0.1:9", **options), cast("ProducerConnection", kafka))


def message(size: int, topic: str = "small") -> Message:
    return Message(topic, b"k", b"x" * size)


@pytest.mark.parametrize("error", [MessageSizeTooLargeError, RecordListTooLargeError])
async def test_a_refusal_names_the_topic_and_a_size_that_is_enough(error: type[Exception]) -> None:
    with pytest.raises(MessageRejected) as refused:
        await producer(Kafka(2_000, error)).send(message(5_000))
    assert isinstance(refused.value, Unavailable), "work waits for it, as for all that is not its own fault"
    assert refused.value.component == "topic small"
    assert "set its max.message.bytes (and segment.bytes) to 8192 or more" in refused.value.reason
    assert size_of(message(5_000)) <= 8192


async def test_what_a_topic_refused_is_not_sent_to_it_again_for_a_while() -> None:
    kafka = Kafka(2_000)
    sending = producer(kafka)
    outcomes = await asyncio.gather(*(sending.send(message(5_000 + n)) for n in range(100)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {MessageRejected}
    asked, replaced = kafka.asked, kafka.replaced
    for _ in range(20):
        with pytest.raises(MessageRejected):
            await sending.send(message(6_000))
    assert (kafka.asked, kafka.replaced) == (asked, replaced)


async def test_smaller_messages_and_other_topics_go_on_meanwhile() -> None:
    kafka = Kafka(2_000)
    sending = producer(kafka)
    with pytest.raises(MessageRejected):
        await sending.send(message(5_000))
    await sending.send(message(1_000))
    kafka.most = 10_000
    await sending.send(message(4_000))
    await sending.send(message(5_000, "other"))


async def test_the_smallest_size_that_was_refused_counts() -> None:
    kafka = Kafka(2_000)
    sending = producer(kafka)
    for size in (5_000, 3_000):
        with pytest.raises(MessageRejected):
            await sending.send(message(size))
    asked = kafka.asked
    with pytest.raises(MessageRejected):
        await sending.send(message(4_000))
    assert kafka.asked == asked


async def test_a_topic_that_takes_more_now_is_tried_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    kafka = Kafka(2_000)
    sending = producer(kafka)
    with pytest.raises(MessageRejected):
        await sending.send(message(5_000))
    kafka.most = 10_000
    now[0] += REMEMBERED
    await sending.send(message(5_000))


async def test_what_no_topic_may_take_is_refused_without_asking() -> None:
    kafka = Kafka(10_000_000)
    with pytest.raises(MessageRejected, match="too large: 1048576 are the most we send"):
        await producer(kafka).send(message(2_000_000))
    assert kafka.asked == 0
