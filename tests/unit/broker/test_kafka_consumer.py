"""Records come as the broker has them."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from app.broker import Partition, Record
from app.broker.kafka_consumer import KafkaConsumer
from app.broker.kafka_options import KafkaOptions

OURS = TopicPartition("commands", 0)


class Member:
    """In the place of aiokafka's consumer: has one partition, and records of it."""

    def __init__(self, *records: Any) -> None:
        self.records = records

    def subscription(self) -> frozenset[str]:
        return frozenset({"commands"})

    def assignment(self) -> set[TopicPartition]:
        return {OURS}

    async def getmany(self, *partitions: TopicPartition, **_: int) -> Mapping[TopicPartition, Sequence[Any]]:
        return {OURS: self.records}


async def test_a_header_without_value_is_kept_apart_from_an_empty_one() -> None:
    headers = (("a", None), ("b", b""), ("a", b"1"))
    sent = ConsumerRecord("commands", 0, 7, 1500, 0, b"k", b"v", None, -1, 1, cast("Any", headers))
    consumer = KafkaConsumer(KafkaOptions("127.0.0.1:9"), ["commands"], "pas")
    consumer._member = cast("AIOKafkaConsumer", Member(sent))
    assert await consumer.poll(1, 10) == [Record(Partition("commands", 0), 7, b"k", b"v", headers, 1.5)]
