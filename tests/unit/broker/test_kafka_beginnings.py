"""Nothing is polled of a partition before it is committed where the group begins in it."""

from collections.abc import Collection, Mapping
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.broker import Bounds
from app.broker.kafka_consumer import KafkaConsumer
from app.broker.kafka_options import KafkaOptions

FIRST, SECOND = TopicPartition("docs", 0), TopicPartition("docs", 1)


class Member:
    """In the place of aiokafka's consumer, which is given another partition while it polls."""

    def __init__(self, *assigned: TopicPartition, moves: TopicPartition | None = None) -> None:
        self.assigned = set(assigned)
        self.moves = moves
        self.offsets: dict[TopicPartition, int] = {}
        self.polled: list[set[TopicPartition]] = []

    def assignment(self) -> set[TopicPartition]:
        return self.assigned

    def subscription(self) -> frozenset[str]:
        return frozenset({"docs"})

    def partitions_for_topic(self, topic: str) -> set[int]:
        return {0, 1}

    async def committed(self, partition: TopicPartition) -> int | None:
        return self.offsets.get(partition)

    async def beginning_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    async def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 9)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        assert offset == 9

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        self.offsets.update(offsets)

    async def position(self, partition: TopicPartition) -> int:
        return self.offsets[partition]

    async def getmany(self, *partitions: TopicPartition, **options: Any) -> dict[TopicPartition, list[Any]]:
        if self.moves is not None:
            self.assigned.add(self.moves)
            self.moves = None
        taken = set(partitions) or set(self.assigned)  # as aiokafka reads no partitions: all
        assert taken <= self.offsets.keys()
        self.polled.append(taken)
        return {}


class Ends:
    """The group begins behind the last record."""

    async def of(self, topic: str, wanted: Collection[int], bounds: Mapping[int, Bounds]) -> Mapping[int, int]:
        return {each: bounds[each].end for each in wanted}

    async def missing(self, topic: str) -> None: ...


def consumer(member: Member) -> KafkaConsumer:
    made = KafkaConsumer(KafkaOptions("127.0.0.1:9"), ["docs"], "pas-live", Ends())
    made._member = cast("AIOKafkaConsumer", member)
    return made


async def test_a_partition_that_comes_during_a_poll_is_polled_once_it_has_begun() -> None:
    member = Member(FIRST, moves=SECOND)
    one = consumer(member)
    assert await one.poll(0.01, 10) == []
    assert member.polled == [{FIRST}]
    assert await one.poll(0.01, 10) == []
    assert member.polled == [{FIRST}, {FIRST, SECOND}]
    assert member.offsets == {FIRST: 9, SECOND: 9}


async def test_without_partitions_nothing_is_polled() -> None:
    member = Member(moves=SECOND)
    assert await consumer(member).poll(0.01, 10) == []
    assert member.polled == []
