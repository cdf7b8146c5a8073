"""What is settled is committed, in the order of the offsets; what that says of the broker; partitions that move."""

from app.broker import Record
from app.domain.errors import Unavailable
from app.domain.readiness import BROKER
from app.messaging.dispatch import Acknowledged, Answer
from tests.unit.messaging.fakes import FIRST, SECOND, Desk, FakeConsumer, records, running


def settled(_record: Record) -> Answer:
    return Acknowledged()


async def test_a_commit_that_was_passed_over_says_nothing_of_the_broker() -> None:
    desk = Desk(FakeConsumer(records(1)), settled)
    desk.consumer.is_member = False
    desk.readiness.work_waits(BROKER, "no answer")
    async with running(desk):
        await desk.until(lambda: len(desk.consumer.commits) > 2)
        assert desk.readiness.problems[BROKER] == "no answer"
        desk.consumer.is_member = True
        await desk.until(lambda: desk.consumer.committed == {FIRST: 2})
        await desk.until(lambda: desk.readiness.problems[BROKER] == "not seen yet")


async def test_a_commit_that_the_broker_answers_ends_its_outage_and_is_not_repeated() -> None:
    desk = Desk(FakeConsumer(records(1)), settled)
    desk.consumer.commit_fails = Unavailable(BROKER, "no answer to a commit")
    async with running(desk):
        await desk.until(lambda: desk.readiness.problems[BROKER] == "no answer to a commit")
        desk.consumer.commit_fails = None
        await desk.until(lambda: desk.consumer.committed == {FIRST: 2})
        await desk.until(lambda: desk.readiness.problems[BROKER] == "not seen yet")
        await desk.turns()
    assert desk.consumer.commits == [{FIRST: 2}]


async def test_each_partition_has_its_own_offset() -> None:
    desk = Desk(FakeConsumer([*records(4, 5), *records(90, partition=SECOND)]), settled)
    async with running(desk):
        await desk.until(lambda: desk.consumer.committed == {FIRST: 6, SECOND: 91})
