"""Where the live flow begins in the topics of a real Kafka: decided once, kept for all processes, nothing missed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import chain
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from app.broker import Consumer, Partition
from app.broker.kafka import KafkaBroker
from app.db import migrations
from app.db.database import Database
from app.live.beginnings import KeptBeginnings
from tests.integration.test_kafka_broker import Seen, broker_on, count, ignore, made, polled_until, send_many, values
from tests.servers import Kafka
from tests.servers.process import run_sync

HISTORY = range(200)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = Database(f"sqlite:///{tmp_path / 'pas.sqlite'}")
    await migrations.migrate(opened)
    yield opened
    await opened.close()


@asynccontextmanager
async def member(
    broker: KafkaBroker, topics: Sequence[str], group: str, database: Database, *, earliest: bool = False
) -> AsyncIterator[Consumer]:
    """A process of the group."""
    consumer = broker.consumer(topics, group, KeptBeginnings(database, earliest=earliest))
    await consumer.start(ignore)
    try:
        yield consumer
    finally:
        await consumer.stop()


def offered(numbers: range) -> set[bytes | None]:
    return {b"%d" % number for number in numbers}


def next_offsets(seen: Seen) -> dict[Partition, int]:
    return {record.partition: record.next_offset for record in seen}


async def assigned(*members: Consumer, partitions: int) -> list[Seen]:
    """Polls until each has partitions, all of them together, and what began is committed; what was polled meanwhile."""
    seen: list[Seen] = [[] for _ in members]

    async def poll(place: int) -> None:
        while True:
            seen[place] += await members[place].poll(0.2, 100)
            parts = [each.assigned() for each in members]
            if all(parts) and sum(map(len, parts)) == partitions == len(frozenset().union(*parts)):
                seen[place] += await members[place].poll(0.5, 100)
                return

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for place in range(len(members)):
            group.create_task(poll(place))
    return seen


async def test_latest_is_behind_the_last_record_of_each_partition_and_is_committed_before_the_first_message(
    kafka: Kafka, topic: str, database: Database
) -> None:
    async with broker_on(kafka) as broker:
        await send_many(broker, topic, HISTORY)
        group = f"g-{uuid4()}"
        async with member(broker, [topic], group, database) as first:
            assert await assigned(first, partitions=4) == [[]]
        await send_many(broker, topic, range(200, 240))  # while no process is there
        async with member(broker, [topic], group, database) as second:
            seen = await polled_until(second, count(40))
            assert values(seen) == offered(range(200, 240))
            await second.commit(next_offsets(seen))
        await send_many(broker, topic, range(240, 250))
        async with member(broker, [topic], group, database, earliest=True) as third:  # decided long ago
            assert values(await polled_until(third, count(10))) == offered(range(240, 250))


async def test_earliest_is_the_first_record(kafka: Kafka, topic: str, database: Database) -> None:
    async with broker_on(kafka) as broker:
        await send_many(broker, topic, HISTORY)
        async with member(broker, [topic], f"g-{uuid4()}", database, earliest=True) as one:
            assert values(await polled_until(one, count(200))) == offered(HISTORY)


async def test_processes_that_start_together_read_no_history_and_miss_nothing(kafka: Kafka, database: Database) -> None:
    topic, group = made(kafka, 8), f"g-{uuid4()}"
    async with broker_on(kafka) as broker, AsyncExitStack() as stack:
        await send_many(broker, topic, HISTORY)
        one, two, three = [await stack.enter_async_context(member(broker, [topic], group, database)) for _ in range(3)]
        assert await assigned(one, two, partitions=8) == [[], []]
        await send_many(broker, topic, range(200, 240))  # what nobody commits goes to whom the partitions go
        found: Seen = [*chain(*await assigned(one, two, three, partitions=8))]
        async with asyncio.timeout(20):
            while not values(found) >= offered(range(200, 240)):
                for each in (one, two, three):
                    found += await each.poll(0.1, 100)
        assert values(found) == offered(range(200, 240))


async def test_partitions_that_are_added_begin_with_their_first_record(kafka: Kafka, database: Database) -> None:
    topic = made(kafka, 1)
    async with broker_on(kafka, metadata_max_age=1.0) as broker:
        await send_many(broker, topic, HISTORY)
        async with member(broker, [topic], f"g-{uuid4()}", database) as one:
            assert await assigned(one, partitions=1) == [[]]
            await asyncio.to_thread(grow, kafka, topic, 6)
            async with broker_on(kafka) as other:  # knows the new partitions
                await send_many(other, topic, range(200, 240))
            seen = await polled_until(one, lambda seen: len(values(seen)) == 40, 60)
            assert values(seen) == offered(range(200, 240))
            assert len({record.partition for record in seen}) == 6


async def test_a_topic_that_appears_later_begins_with_its_first_record_and_others_do_not_wait(
    kafka: Kafka, topic: str, database: Database
) -> None:
    later = f"t-{uuid4()}"
    async with broker_on(kafka) as broker:
        await send_many(broker, topic, HISTORY)
        async with member(broker, [topic, later], f"g-{uuid4()}", database) as one:
            assert await assigned(one, partitions=4) == [[]]
            await asyncio.to_thread(kafka.create_topic, later, 2)
            async with broker_on(kafka) as other:
                await send_many(other, later, range(20))
                await send_many(other, topic, range(200, 220))
            seen = await polled_until(one, lambda seen: len(values(seen)) == 40, 60)
    assert values([each for each in seen if each.partition.topic == later]) == offered(range(20))
    assert values([each for each in seen if each.partition.topic == topic]) == offered(range(200, 220))


def grow(kafka: Kafka, topic: str, partitions: int) -> None:
    async def create() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        await admin.start()
        try:
            await admin.create_partitions({topic: NewPartitions(partitions)})
        finally:
            await admin.close()

    run_sync(create())


@pytest.fixture
def topic(kafka: Kafka) -> str:
    return made(kafka)
