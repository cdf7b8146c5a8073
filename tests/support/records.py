"""Records of Kafka topics, read and written by another client than the service's own code."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.servers import Kafka
from tests.servers.process import run_sync

PATIENCE = 30
"""Seconds for one look at a topic."""

Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Record:
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers = field(default_factory=list)

    @property
    def json(self) -> dict[str, Any]:
        assert self.value is not None
        return dict(orjson.loads(self.value))

    def header(self, name: str) -> str:
        """The one header of this name."""
        (value,) = [value for key, value in self.headers if key == name]
        assert value is not None
        return value.decode()


def read_topic(kafka: Kafka, topic: str) -> list[Record]:
    """All records of a topic, partition by partition."""
    return run_sync(asyncio.wait_for(_read(kafka.bootstrap, topic), PATIENCE))


def write_topic(
    kafka: Kafka, topic: str, records: Iterable[tuple[bytes | None, bytes | None, Headers]], partition: int
) -> None:
    """Sends key, value and headers to one partition, in order."""
    run_sync(asyncio.wait_for(_write(kafka.bootstrap, topic, list(records), partition), PATIENCE))


def committed(kafka: Kafka, topic: str, group: str) -> tuple[dict[int, int], dict[int, int]]:
    """Committed offset and end of each partition that has records."""
    return run_sync(asyncio.wait_for(_committed(kafka.bootstrap, topic, group), PATIENCE))


async def _read(bootstrap: str, topic: str) -> list[Record]:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        partitions = await _partitions(consumer, topic)
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[Record] = []
        for partition, end in ends.items():
            while await consumer.position(partition) < end:
                polled = await consumer.getmany(partition, timeout_ms=200)
                found += [
                    Record(each.partition, each.offset, each.key, each.value, list(each.headers))
                    for each in polled.get(partition, [])
                ]
    return sorted(found, key=lambda record: (record.partition, record.offset))


async def _partitions(consumer: Any, topic: str) -> list[TopicPartition]:
    while True:
        numbers = (await consumer._client.fetch_all_metadata()).partitions_for_topic(topic)
        if numbers:
            return [TopicPartition(topic, number) for number in sorted(numbers)]
        await asyncio.sleep(0.1)


async def _write(
    bootstrap: str, topic: str, records: list[tuple[bytes | None, bytes | None, Headers]], partition: int
) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=4_000_000) as producer:
        for key, value, headers in records:
            if key is None and value is None:  # `send` refuses such a record, a batch does not
                batch = producer.create_batch()
                batch.append(key=None, value=None, timestamp=None, headers=headers)
                batch.close()
                await (await producer.send_batch(batch, topic, partition=partition))
            else:
                await producer.send_and_wait(topic, value, key, partition=partition, headers=headers)


async def _committed(bootstrap: str, topic: str, group: str) -> tuple[dict[int, int], dict[int, int]]:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False) as consumer:
        partitions = await _partitions(consumer, topic)
        ends = {each.partition: end for each, end in (await consumer.end_offsets(partitions)).items() if end}
        offsets = {each.partition: await consumer.committed(each) for each in partitions if each.partition in ends}
    return {number: offset or 0 for number, offset in offsets.items()}, ends
