"""KafkaBroker on a real Kafka: acknowledged sends, groups that move, outages that pass."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.partitioner import murmur2

from app.broker import Consumer, Message, MessageRejected, Partition, Record
from app.broker.kafka import KafkaBroker, KafkaOptions
from app.domain.errors import Unavailable
from tests.conftest import running
from tests.servers import Kafka
from tests.servers.ports import free_ports

Seen = list[Record]


def options(kafka: Kafka, **more: object) -> KafkaOptions:
    return KafkaOptions(kafka.bootstrap, **more)  # type: ignore[arg-type]


@asynccontextmanager
async def broker_on(kafka: Kafka, **more: object) -> AsyncIterator[KafkaBroker]:
    broker = KafkaBroker(options(kafka, **more))
    await broker.start()
    try:
        yield broker
    finally:
        await broker.close()


@pytest.fixture
def topic(kafka: Kafka) -> str:
    return made(kafka)


def made(kafka: Kafka, partitions: int = 4, **config: str) -> str:
    name = f"t-{uuid4()}"
    kafka.create_topic(name, partitions, {key.replace("_", "."): value for key, value in config.items()})
    return name


async def ignore(partitions: Sequence[Partition]) -> None: ...


async def polled_until(consumer: Consumer, enough: Callable[[Seen], bool], seconds: float = 20) -> Seen:
    """Polls, through outages too, until `enough` says so."""
    seen: Seen = []
    end = time.monotonic() + seconds
    while not enough(seen):
        assert time.monotonic() < end, f"after {seconds} s: {len(seen)} records"
        try:
            seen += await consumer.poll(0.2, 100)
        except Unavailable:
            continue
    return seen


def count(number: int) -> Callable[[Seen], bool]:
    return lambda seen: len(seen) >= number


async def send_many(broker: KafkaBroker, topic: str, numbers: range) -> None:
    await asyncio.gather(*(broker.send(Message(topic, b"k%d" % n, b"%d" % n)) for n in numbers))


def values(seen: Seen) -> set[bytes | None]:
    return {record.value for record in seen}


async def test_what_is_sent_is_polled_and_what_is_committed_does_not_come_again(kafka: Kafka, topic: str) -> None:
    async with broker_on(kafka) as broker:
        consumer = broker.consumer([topic], f"g-{uuid4()}")
        await consumer.start(ignore)
        await broker.send(Message(topic, "ä/1".encode(), b'{"a":1}', [("traceparent", b"00-x"), ("h", b"\xff")]))
        (record,) = await polled_until(consumer, count(1))
        assert (record.key, record.value, record.headers) == (
            "ä/1".encode(),
            b'{"a":1}',
            (("traceparent", b"00-x"), ("h", b"\xff")),
        )
        assert record.partition in consumer.assigned()
        assert len(consumer.assigned()) == 4
        await consumer.commit({record.partition: record.next_offset, Partition(topic, 99): 3})
        await consumer.stop()

        again = broker.consumer([topic], consumer._group)  # type: ignore[attr-defined]
        await again.start(ignore)
        await broker.send(Message(topic, "ä/1".encode(), b"2"))
        assert values(await polled_until(again, count(1))) == {b"2"}
        await again.stop()


async def test_keys_choose_partitions_as_java_does(kafka: Kafka, topic: str) -> None:
    async with broker_on(kafka) as broker:
        await send_many(broker, topic, range(50))
        consumer = broker.consumer([topic], f"g-{uuid4()}")
        await consumer.start(ignore)
        seen = await polled_until(consumer, count(50))
        await consumer.stop()
    assert all(r.partition.number == (murmur2(r.key) & 0x7FFFFFFF) % 4 for r in seen)
    assert len({r.partition for r in seen}) == 4


async def test_a_paused_partition_gives_nothing_until_it_is_resumed(kafka: Kafka) -> None:
    topic = made(kafka, 1)
    async with broker_on(kafka) as broker:
        consumer = broker.consumer([topic], f"g-{uuid4()}")
        await consumer.start(ignore)
        await send_many(broker, topic, range(3))
        await polled_until(consumer, count(3))
        partition = Partition(topic, 0)
        consumer.pause([partition, Partition("other", 1)])
        await send_many(broker, topic, range(3, 6))
        assert await consumer.poll(1, 10) == []
        consumer.resume([partition, Partition("other", 1)])
        assert [r.value for r in await polled_until(consumer, count(3))] == [b"3", b"4", b"5"]
        await consumer.stop()


async def test_tombstones_and_records_without_key_pass(kafka: Kafka, topic: str) -> None:
    async with broker_on(kafka) as broker:
        for key, value in ((None, b"v"), (b"k", None), (None, None)):
            await broker.send(Message(topic, key, value, [("dlq-reason", b"r")]))
        consumer = broker.consumer([topic], f"g-{uuid4()}")
        await consumer.start(ignore)
        seen = await polled_until(consumer, count(3))
        await consumer.stop()
    assert {(r.key, r.value, r.headers[0][1]) for r in seen} == {
        (None, b"v", b"r"),
        (b"k", None, b"r"),
        (None, None, b"r"),
    }


async def test_what_a_transaction_sent_comes_once_it_is_committed_and_never_when_it_was_aborted(
    kafka: Kafka, topic: str
) -> None:
    async with broker_on(kafka) as broker:
        consumer = broker.consumer([topic], f"g-{uuid4()}")
        await consumer.start(ignore)
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=f"x-{uuid4()}") as producer:
            for outcome in (b"aborted", b"committed", b"aborted"):
                await producer.begin_transaction()
                await asyncio.gather(*[await producer.send(topic, outcome, partition=0) for _ in range(3)])
                await (producer.commit_transaction() if outcome == b"committed" else producer.abort_transaction())
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap) as producer:
            await producer.send_and_wait(topic, b"last", partition=0)
        seen = await polled_until(consumer, lambda seen: b"last" in values(seen))
        assert [record.value for record in seen] == [b"committed"] * 3 + [b"last"]
        await consumer.stop()


async def test_partitions_taken_away_are_committed_first(kafka: Kafka, topic: str) -> None:
    """A second member joins: the first settles in its callback, and nothing that it committed comes again."""
    group = f"g-{uuid4()}"
    async with broker_on(kafka) as broker:
        await send_many(broker, topic, range(40))
        first, second = broker.consumer([topic], group), broker.consumer([topic], group)
        done: dict[Partition, int] = {}
        revoked: list[Sequence[Partition]] = []

        async def settle(partitions: Sequence[Partition]) -> None:
            revoked.append(partitions)
            await asyncio.sleep(0.5)
            await first.commit({partition: done[partition] for partition in partitions if partition in done})

        await first.start(settle)
        for record in await polled_until(first, count(40)):
            done[record.partition] = record.next_offset

        await second.start(ignore)
        later: Seen = []
        while not (len(first.assigned()) == len(second.assigned()) == 2):
            for records in await asyncio.gather(first.poll(0.2, 100), second.poll(0.2, 100)):
                later += records
        await send_many(broker, topic, range(40, 60))
        while len(later) < 20:
            for records in await asyncio.gather(first.poll(0.2, 100), second.poll(0.2, 100)):
                later += records
        await first.stop()
        await second.stop()
    assert [len(partitions) for partitions in revoked] == [4]
    assert sorted(int(r.value or b"") for r in later) == list(range(40, 60))


async def test_a_commit_after_the_partitions_were_lost_is_passed_over(kafka: Kafka, topic: str) -> None:
    async with broker_on(kafka) as broker:
        consumer = broker.consumer([topic], f"g-{uuid4()}")
        await consumer.start(ignore)
        await send_many(broker, topic, range(4))
        (record, *_) = await polled_until(consumer, count(1))
        consumer._member._coordinator.generation = 77  # type: ignore[attr-defined]
        await consumer.commit({record.partition: record.next_offset})
        await consumer.stop()
        await consumer.commit({record.partition: record.next_offset})


async def test_a_topic_made_later_is_found(kafka: Kafka) -> None:
    topic = f"t-{uuid4()}"
    async with broker_on(kafka) as broker:
        assert await broker.missing_topics([topic]) == [topic]
        consumer = broker.consumer([topic], f"g-{uuid4()}")
        await consumer.start(ignore)
        assert await consumer.poll(0.3, 10) == []
        with pytest.raises(Unavailable, match=f"topic {topic} does not exist"):
            await broker.send(Message(topic, b"k", b"v"))
        await asyncio.to_thread(kafka.create_topic, topic)
        begin = time.monotonic()
        while not consumer.assigned():
            await consumer.poll(0.2, 10)
            assert time.monotonic() - begin < 12
        await broker.send(Message(topic, b"k", b"v"))
        assert values(await polled_until(consumer, count(1))) == {b"v"}
        assert await broker.missing_topics([topic]) == []
        await consumer.stop()


async def test_a_second_topic_made_later_joins_the_first(kafka: Kafka, topic: str) -> None:
    second = f"t-{uuid4()}"
    async with broker_on(kafka) as broker:
        consumer = broker.consumer([topic, second], f"g-{uuid4()}")
        await consumer.start(ignore)
        await broker.send(Message(topic, b"k", b"1"))
        assert values(await polled_until(consumer, count(1))) == {b"1"}
        await asyncio.to_thread(kafka.create_topic, second)
        begin = time.monotonic()
        while Partition(second, 0) not in consumer.assigned():
            await consumer.poll(0.2, 10)
            assert time.monotonic() - begin < 12
        await consumer.stop()


async def test_topics_are_made_where_that_is_allowed(kafka: Kafka) -> None:
    topic = f"t-{uuid4()}"
    async with broker_on(kafka, create_topics=True, create_partitions=3) as broker:
        assert await broker.missing_topics([topic, "not a name"]) == ["not a name"]
        await broker.send(Message(topic, b"k", b"v"))
        consumer = broker.consumer([topic], f"g-{uuid4()}")
        await consumer.start(ignore)
        await polled_until(consumer, count(1))
        assert len(consumer.assigned()) == 3
        await consumer.stop()


async def test_a_message_too_large_is_rejected_whoever_refuses_it(kafka: Kafka) -> None:
    small = made(kafka, 1, max_message_bytes="20000")
    async with broker_on(kafka) as broker:
        with pytest.raises(MessageRejected, match="too large"):
            await broker.send(Message(small, b"k", b"x" * 1_100_000))
        with pytest.raises(MessageRejected, match="too large"):
            await broker.send(Message(small, b"k", b"x" * 30_000))
        await broker.send(Message(small, b"k", b"x" * 10_000))


async def test_small_messages_beside_one_that_is_too_large_arrive(kafka: Kafka) -> None:
    """They share a batch which the broker refuses as a whole."""
    topic = made(kafka, 1, max_message_bytes="2000")
    async with broker_on(kafka) as broker:
        await broker.send(Message(topic, b"k", b"first"))
        messages = [Message(topic, b"k", b"x" * size) for size in (10, 20, 5_000, 30, 40)]
        outcomes = await asyncio.gather(*(broker.send(each) for each in messages), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [type(None), type(None), MessageRejected, *[type(None)] * 2]
        consumer = broker.consumer([topic], f"g-{uuid4()}")
        await consumer.start(ignore)
        seen = await polled_until(consumer, lambda seen: len(values(seen)) >= 5)
        assert {len(record.value or b"") for record in seen} == {5, 10, 20, 30, 40}
        await consumer.stop()


async def test_a_key_of_two_megabytes_passes_through(kafka: Kafka) -> None:
    topic = made(kafka, 1, max_message_bytes="4000000")
    async with broker_on(kafka) as broker:
        foreign = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, max_request_size=5_000_000)
        await foreign.start()
        await foreign.send_and_wait(topic, b"large", b"k" * 2_000_000)
        await foreign.send_and_wait(topic, b"after", b"k")
        await foreign.stop()
        consumer = broker.consumer([topic], f"g-{uuid4()}")
        await consumer.start(ignore)
        assert [len(r.key or b"") for r in await polled_until(consumer, count(2))] == [2_000_000, 1]
        await consumer.stop()


async def test_an_offset_that_is_gone_begins_at_the_earliest(kafka: Kafka) -> None:
    topic, group = made(kafka, 1), f"g-{uuid4()}"
    async with broker_on(kafka) as broker:
        await send_many(broker, topic, range(3))
        foreign = AIOKafkaConsumer(topic, bootstrap_servers=kafka.bootstrap, group_id=group, enable_auto_commit=False)
        await foreign.start()
        await foreign.commit({next(iter(foreign.assignment())): 1000})
        await foreign.stop()
        consumer = broker.consumer([topic], group)
        await consumer.start(ignore)
        assert len(await polled_until(consumer, count(3))) == 3
        await consumer.stop()


async def test_without_a_broker_the_start_returns_and_the_reason_is_named() -> None:
    port = free_ports(1)
    broker = KafkaBroker(KafkaOptions(f"127.0.0.1:{port}"))
    await asyncio.wait_for(broker.start(), 5)
    with pytest.raises(Unavailable, match=f"127.0.0.1:{port}: .*Connect call failed"):
        await broker.send(Message("t", b"k", b"v"))
    with pytest.raises(Unavailable, match="Connect call failed"):
        await broker.missing_topics(["t"])
    consumer = broker.consumer(["t"], "g")
    await consumer.start(ignore)
    with pytest.raises(Unavailable, match="Connect call failed"):
        await consumer.poll(0.1, 10)
    await consumer.stop()
    await asyncio.wait_for(broker.close(), 10)


@pytest.fixture(scope="module")
def mortal() -> Iterator[Kafka]:
    """A Kafka of our own to kill."""
    with running(Kafka()) as server:
        yield server


async def test_a_broker_that_was_killed_and_comes_back_is_used_again(mortal: Kafka) -> None:
    topic = made(mortal)
    async with broker_on(mortal, commit_timeout=2.0, send_timeout=2.0) as broker:
        consumer = broker.consumer([topic], f"g-{uuid4()}")
        await consumer.start(ignore)
        await send_many(broker, topic, range(10))
        seen = await polled_until(consumer, count(10))
        await asyncio.to_thread(mortal.kill)
        begin = time.monotonic()
        while time.monotonic() - begin < 3:
            assert list(await quiet(consumer)) == []
        with pytest.raises(Unavailable):
            await consumer.commit({seen[0].partition: seen[0].next_offset})
        with pytest.raises(Unavailable):
            await broker.send(Message(topic, b"k", b"lost?"))
        with pytest.raises(Unavailable):
            await broker.missing_topics([topic])

        await asyncio.to_thread(mortal.start)
        await sent_at_last(broker, Message(topic, b"k", b"after"))
        later = await polled_until(consumer, lambda seen: b"after" in values(seen), 40)
        await consumer.commit({later[-1].partition: later[-1].next_offset})
        assert values(later) >= {b"after"}
        await consumer.stop()


async def test_a_broker_that_comes_later_is_found(mortal: Kafka) -> None:
    topic = made(mortal)
    await asyncio.to_thread(mortal.stop)
    async with broker_on(mortal) as broker:
        consumer = broker.consumer([topic], f"g-{uuid4()}")
        await consumer.start(ignore)
        assert list(await quiet(consumer)) == []
        await asyncio.to_thread(mortal.start)
        await sent_at_last(broker, Message(topic, b"k", b"v"))
        assert values(await polled_until(consumer, count(1))) == {b"v"}
        await consumer.stop()


async def test_a_broker_that_stays_away_does_not_hold_up_the_end(mortal: Kafka) -> None:
    topic = made(mortal)
    broker = KafkaBroker(options(mortal, send_timeout=0.5))
    await broker.start()
    consumer = broker.consumer([topic], f"g-{uuid4()}")
    await consumer.start(ignore)
    await broker.send(Message(topic, b"k", b"v"))
    await polled_until(consumer, count(1))
    await asyncio.to_thread(mortal.kill)
    with pytest.raises(Unavailable):
        await broker.send(Message(topic, b"k", b"v"))
    begin = time.monotonic()
    await consumer.stop()
    await broker.close()
    assert time.monotonic() - begin < 25
    await asyncio.to_thread(mortal.start)


async def quiet(consumer: Consumer) -> Sequence[Record]:
    try:
        return await consumer.poll(0.2, 100)
    except Unavailable:
        return []


async def sent_at_last(broker: KafkaBroker, message: Message) -> None:
    end = time.monotonic() + 40
    while True:
        try:
            return await broker.send(message)
        except Unavailable:
            assert time.monotonic() < end


async def test_many_messages_at_once_come_once_each_in_the_partitions_of_their_keys(kafka: Kafka) -> None:
    topic = made(kafka, partitions=3, max_message_bytes="20000")
    sent = [Message(topic, b"k%d" % n, b"%d:" % n + b"x" * 500, [("n", b"%d" % n)]) for n in range(300)]
    too_large = Message(topic, b"k", b"x" * 30_000)
    async with broker_on(kafka) as broker:
        answers = await broker.send_all([*sent[:150], too_large, *sent[150:]])
        assert isinstance(answers[150], MessageRejected)
        assert [answer for answer in answers if answer is not answers[150]] == [None] * 300
        consumer = broker.consumer([topic], f"g-{uuid4()}")
        await consumer.start(ignore)
        seen = await polled_until(consumer, count(300))
        seen += await consumer.poll(0.2, 100)
        await consumer.stop()
    assert sorted(record.value or b"" for record in seen) == sorted(message.value or b"" for message in sent)
    for record in seen:
        assert record.partition.number == (murmur2(record.key) & 0x7FFFFFFF) % 3
        assert record.headers == (("n", (record.value or b"").partition(b":")[0]),)
