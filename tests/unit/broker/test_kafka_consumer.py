"""Records come as the broker has them, and the lag counts those that wait."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from app.broker import Bounds, Partition, Record
from app.broker.kafka_consumer import KafkaConsumer
from app.broker.kafka_options import KafkaOptions

OURS = TopicPartition("commands", 0)


class Member:
    """In the place of aiokafka's consumer: has one partition, and records of it, which `getmany` gives once.

    `mark`: whether the last transaction ended behind the last record.
    """

    def __init__(self, *records: Any, mark: bool = False) -> None:
        self.records = records
        self.end = len(records) + mark

    def subscription(self) -> frozenset[str]:
        return frozenset({"commands"})

    def assignment(self) -> set[TopicPartition]:
        return {OURS}

    async def getmany(self, *partitions: TopicPartition, **_: int) -> Mapping[TopicPartition, Sequence[Any]]:
        records, self.records = self.records, ()
        return {OURS: records} if records else {}

    async def committed(self, partition: TopicPartition) -> int:
        return 0

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None: ...

    async def position(self, partition: TopicPartition) -> int:
        return self.end

    def highwater(self, partition: TopicPartition) -> int:
        return self.end


class Anywhere:
    """Beginnings that nobody asks for."""

    async def of(self, topic: str, wanted: Collection[int], bounds: Mapping[int, Bounds]) -> Mapping[int, int]:
        raise AssertionError

    async def missing(self, topic: str) -> None: ...


async def test_a_header_without_value_is_kept_apart_from_an_empty_one() -> None:
    headers = (("a", None), ("b", b""), ("a", b"1"))
    sent = ConsumerRecord("commands", 0, 7, 1500, 0, b"k", b"v", None, -1, 1, cast("Any", headers))
    consumer = KafkaConsumer(KafkaOptions("127.0.0.1:9"), ["commands"], "pas")
    consumer._member = cast("AIOKafkaConsumer", Member(sent))
    assert await consumer.poll(1, 10) == [Record(Partition("commands", 0), 7, b"k", b"v", headers, 1.5)]


@pytest.mark.parametrize("mark", [False, True])
async def test_the_lag_is_what_is_not_committed_and_no_mark_at_the_end_of_a_transaction(mark: bool) -> None:
    records = [ConsumerRecord("commands", 0, offset, 0, 0, b"k", b"v", None, -1, 1, ()) for offset in range(2)]
    consumer = KafkaConsumer(KafkaOptions("127.0.0.1:9"), ["commands"], "pas", Anywhere())
    consumer._member = cast("AIOKafkaConsumer", Member(*records, mark=mark))
    await consumer.poll(0.1, 10)
    await consumer.poll(0.1, 10)
    assert consumer.lag() == {"commands": 2 + mark}
    await consumer.commit({Partition("commands", 0): 1})
    assert consumer.lag() == {"commands": 1 + mark}
    await consumer.commit({Partition("commands", 0): 2})
    assert consumer.lag() == {"commands": 0}
