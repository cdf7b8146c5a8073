"""Many messages at once: few requests, and for each message the answer that a send of its own would have."""

import asyncio
import gc
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError, OutOfOrderSequenceNumber, ProducerClosed
from aiokafka.partitioner import DefaultPartitioner

from app.broker import Message, MessageRejected, kafka_producer
from app.broker.kafka_batches import BatchedSends
from app.broker.kafka_errors import FATAL, TOO_LARGE
from app.broker.kafka_partitioner import partition_of
from app.domain.errors import Unavailable
from tests.unit.broker.test_kafka_refusals import Kafka, message, producer
from tests.unit.messaging.fakes import until


async def test_messages_of_a_partition_go_in_batches_as_large_as_the_producer_makes_them() -> None:
    kafka = Kafka(10_000)
    assert await producer(kafka).send_all([message(3_000) for _ in range(7)]) == [None] * 7
    assert kafka.asked == 3
    assert len(kafka.stored) == 7


async def test_each_message_of_a_batch_that_is_too_large_for_its_topic_gets_an_answer_of_its_own() -> None:
    kafka = Kafka(2_000)
    answers = await producer(kafka).send_all([message(1_500), message(2_500), message(1_900)])
    assert [type(answer) for answer in answers] == [type(None), MessageRejected, type(None)]
    assert sorted(map(len, kafka.stored)) == [1_500, 1_900]


async def test_what_is_known_to_be_refused_is_not_sent_and_costs_no_producer() -> None:
    kafka = Kafka(2_000)
    sending = producer(kafka, max_request_size=100_000)
    await sending.send_all([message(5_000)])
    asked, replaced = kafka.asked, kafka.replaced
    answers = await sending.send_all([message(900), message(6_000), message(200_000), message(1_000)])
    assert [type(answer) for answer in answers] == [type(None), MessageRejected, MessageRejected, type(None)]
    assert (kafka.asked, kafka.replaced) == (asked + 2, replaced), "for a while each is sent alone"


async def test_messages_to_a_topic_that_refused_a_batch_go_one_by_one_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kafka = Kafka(2_000)
    sending = producer(kafka)
    assert await sending.send_all([message(1_500) for _ in range(20)]) == [None] * 20
    assert (kafka.asked, kafka.replaced) == (21, 1)
    assert await sending.send_all([message(1_500) for _ in range(20)]) == [None] * 20
    assert (kafka.asked, kafka.replaced) == (41, 1)
    monkeypatch.setattr(kafka_producer, "REMEMBERED", -1.0)
    kafka.most = 100_000
    sending._remember_small("small")
    assert await sending.send_all([message(1_500) for _ in range(4)]) == [None] * 4
    assert kafka.asked == 42


async def test_messages_without_a_key_or_to_an_unknown_topic_are_sent_alone() -> None:
    kafka = Kafka(10_000)
    assert await producer(kafka).send_all([Message("small", None, b"a"), message(1), message(1)]) == [None] * 3
    assert kafka.asked == 2


async def test_a_batch_that_failed_on_its_way_is_sent_again_message_by_message() -> None:
    kafka = Kafka(4_000, KafkaTimeoutError)
    assert await producer(kafka).send_all([message(3_000), message(3_000)]) == [None, None]
    assert (kafka.asked, kafka.replaced) == (3, 0)


async def test_a_producer_that_the_broker_no_longer_knows_is_replaced() -> None:
    kafka = Kafka(4_000, OutOfOrderSequenceNumber)
    assert OutOfOrderSequenceNumber in FATAL
    assert not {*FATAL} & {*TOO_LARGE}
    assert await producer(kafka).send_all([message(3_000), message(3_000)]) == [None, None]
    assert kafka.replaced == 1


async def test_what_is_not_acknowledged_in_time_is_an_outage_and_not_sent_again() -> None:
    kafka = Kafka(10_000)
    kafka.is_silent = True
    first, second = await producer(kafka, send_timeout=0.05).send_all([message(1_000), message(1_000)])
    assert isinstance(first, Unavailable)
    assert "no acknowledgement within 0.05s for topic small" in first.reason
    assert second is first
    assert (kafka.asked, kafka.replaced) == (1, 1)
    assert not kafka.pending


async def test_a_batch_that_fails_when_nobody_waits_for_it_any_more_is_not_reported_as_an_error_of_ours() -> None:
    kafka, reported = Kafka(10_000), list[dict[str, Any]]()
    kafka.is_silent = True
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))
    await producer(kafka, send_timeout=0.05).send_all([message(1_000)])
    kafka.promised.pop().set_exception(KafkaTimeoutError())
    await asyncio.sleep(0)
    gc.collect()
    assert reported == []


async def test_a_batch_whose_producer_is_replaced_is_sent_again_with_the_next_one() -> None:
    kafka = Kafka(10_000)
    kafka.is_silent = True
    sending = asyncio.create_task(producer(kafka).send_all([message(1_000)]))
    await until(lambda: kafka.pending)
    kafka.is_silent = False
    for waiter in tuple(kafka.pending):  # as `ProducerConnection.replace` does
        waiter.set_exception(ProducerClosed())
    assert await sending == [None]
    assert len(kafka.stored) == 1


async def test_no_message_is_no_request() -> None:
    kafka = Kafka(10_000)
    assert await producer(kafka).send_all([]) == []
    await BatchedSends(kafka, {}).run()  # type: ignore[arg-type] # a fake
    assert kafka.asked == 0


def test_keys_go_to_the_partitions_of_the_java_client() -> None:
    theirs = DefaultPartitioner()
    for number in range(50):
        key = f"ref-{number}".encode()
        for partitions in ([0, 1, 2], [0, 1, 2, 3, 4, 5, 6, 7]):
            assert partition_of(key, partitions, partitions) == theirs(key, partitions, partitions)
    assert partition_of(None, [4], [4]) == 4
