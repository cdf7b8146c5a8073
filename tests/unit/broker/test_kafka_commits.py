"""What a commit says of the broker: only an answer proves that it is there."""

from collections.abc import Mapping
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaConnectionError

from app.broker import Partition
from app.broker.kafka_consumer import KafkaConsumer
from app.broker.kafka_options import KafkaOptions
from app.domain.errors import Unavailable

OURS = Partition("commands", 0)


class Member:
    """In the place of aiokafka's consumer: has one partition, and takes commits or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.commits: list[Mapping[TopicPartition, int]] = []

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition(*OURS)}

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        if self.error is not None:
            raise self.error
        self.commits.append(offsets)


def consumer(member: Member | None) -> KafkaConsumer:
    made = KafkaConsumer(KafkaOptions("127.0.0.1:9"), ["commands"], "pas")
    made._member = cast("AIOKafkaConsumer", member)
    return made


async def test_a_commit_that_the_broker_took_is_an_answer() -> None:
    member = Member()
    assert await consumer(member).commit({OURS: 7, Partition("commands", 1): 9})
    assert member.commits == [{TopicPartition(*OURS): 7}]


async def test_a_refusal_as_the_partition_has_another_owner_is_an_answer() -> None:
    assert await consumer(Member(CommitFailedError())).commit({OURS: 7})


@pytest.mark.parametrize(
    ("member", "offsets"),
    [(None, {OURS: 7}), (Member(), {Partition("commands", 1): 7}), (Member(IllegalStateError("no")), {OURS: 7})],
    ids=["no member", "not our partition", "lost while committing"],
)
async def test_a_commit_that_never_left_the_process_is_no_answer(member: Any, offsets: dict[Partition, int]) -> None:
    assert not await consumer(member).commit(offsets)


async def test_an_error_of_the_connection_is_an_outage() -> None:
    with pytest.raises(Unavailable, match="commit"):
        await consumer(Member(KafkaConnectionError())).commit({OURS: 7})
