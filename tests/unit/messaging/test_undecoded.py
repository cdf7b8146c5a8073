"""Records whose schema is not known yet wait for it apart: all others go on, and nothing is lost."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from app.broker import Record
from app.broker.framing import Schemas
from app.domain.errors import InvalidMessage, Unavailable
from app.domain.readiness import SCHEMA_REGISTRY, Readiness
from app.messaging.dispatch import Acknowledged, Answer, DeadLetter, Undecoded
from app.messaging.undecoded import find_schema
from tests.unit.messaging.fakes import FIRST, SECOND, Desk, FakeConsumer, records, running


class Registry:
    """Knows a schema once `found` is set."""

    def __init__(self) -> None:
        self.found: dict[int, asyncio.Event] = {}
        self.asked: list[int] = []
        self.cancelled: list[int] = []

    async def find(self, schema_id: int) -> None:
        self.asked.append(schema_id)
        try:
            await self.found.setdefault(schema_id, asyncio.Event()).wait()
        except asyncio.CancelledError:
            self.cancelled.append(schema_id)
            raise

    def answer(self, undecoded: dict[int, int], then: Answer | None = None) -> Callable[[Record], Answer | Undecoded]:
        """`undecoded` are offsets and the schemas that they need."""

        def answer(record: Record) -> Answer | Undecoded:
            schema_id = undecoded.get(record.offset)
            if schema_id is None:
                return Acknowledged()
            is_known = schema_id in self.found and self.found[schema_id].is_set()
            return (then or Acknowledged()) if is_known else Undecoded(schema_id)

        return answer


async def test_others_go_on_on_all_partitions_while_a_schema_is_looked_up() -> None:
    registry = Registry()
    polls = [records(1, 2, 3), records(4, 5), records(90, partition=SECOND)]
    desk = Desk(FakeConsumer(*polls), registry.answer({2: 7, 5: 7}), find_schema=registry.find)
    async with running(desk):
        await desk.until(lambda: desk.consumer.committed == {FIRST: 2, SECOND: 91})
        await desk.turns()
        assert desk.consumer.committed == {FIRST: 2, SECOND: 91}, "what waits is not committed, nor what is behind it"
        assert registry.asked == [7], "one look-up for all who need the schema"
        registry.found[7].set()
        await desk.until(lambda: desk.consumer.committed == {FIRST: 6, SECOND: 91})
    assert registry.asked == [7]


async def test_a_schema_of_no_use_makes_dead_letters_of_those_who_need_it() -> None:
    registry = Registry()
    answer = registry.answer({2: 7}, then=DeadLetter("the schema registry knows no schema 7"))
    desk = Desk(FakeConsumer(records(1, 2, 3)), answer, find_schema=registry.find)
    async with running(desk):
        await desk.until(lambda: registry.asked)
        registry.found[7].set()
        await desk.until(lambda: desk.consumer.committed == {FIRST: 4})
    assert desk.dead_letters == {2: ["the schema registry knows no schema 7"]}


async def test_one_schema_does_not_wait_for_another() -> None:
    registry = Registry()
    desk = Desk(FakeConsumer(records(1, 2)), registry.answer({1: 7, 2: 8}), find_schema=registry.find)
    async with running(desk):
        await desk.until(lambda: registry.asked == [7, 8])
        registry.found[8].set()
        await desk.until(lambda: [2] in desk.dispatcher.looked_up)
        assert desk.consumer.committed == {}
        registry.found[7].set()
        await desk.until(lambda: desk.consumer.committed == {FIRST: 3})


async def test_revoked_records_are_dropped_and_the_look_up_that_only_they_need_ends() -> None:
    registry = Registry()
    polls = [[*records(1, 2), *records(90, partition=SECOND)]]
    desk = Desk(FakeConsumer(*polls), registry.answer({1: 7, 2: 8, 90: 8}), find_schema=registry.find)
    async with running(desk):
        await desk.until(lambda: registry.asked == [7, 8])
        await desk.consumer.revoke(FIRST)
        await desk.until(lambda: registry.cancelled == [7])
        registry.found[8].set()
        await desk.until(lambda: desk.consumer.committed == {SECOND: 91})
        assert desk.dispatcher.looked_up[-1] == [90]


async def test_a_stop_ends_look_ups_and_commits_nothing_that_waits() -> None:
    registry = Registry()
    desk = Desk(FakeConsumer(records(1, 2)), registry.answer({2: 7}), find_schema=registry.find)
    async with running(desk):
        await desk.until(lambda: registry.asked)
    await desk.turns()
    assert registry.cancelled == [7]
    assert desk.consumer.committed == {FIRST: 2}


async def test_a_partition_that_is_held_is_paused_and_its_records_leave_room_for_the_others() -> None:
    registry = Registry()
    desk = Desk(
        FakeConsumer(records(1, 2), records(90, partition=SECOND), records(3)),
        registry.answer({1: 7, 2: 7, 3: 7}),
        find_schema=registry.find,
        most_in_hand=2,
    )
    async with running(desk):
        await desk.until(lambda: registry.asked == [7])
        desk.dispatcher.held_partitions = {FIRST}
        await desk.until(lambda: desk.consumer.committed == {SECOND: 91})
        await desk.turns()
        assert desk.consumer.paused == {FIRST}
        assert desk.consumer.polls, "what comes behind is not polled"
        desk.dispatcher.held_partitions = set()
        registry.found[7].set()
        await desk.until(lambda: desk.consumer.committed == {FIRST: 4, SECOND: 91})
        assert desk.consumer.paused == set()


async def test_waiting_records_count_as_in_hand() -> None:
    registry = Registry()
    desk = Desk(
        FakeConsumer(records(1, 2), records(3)),
        registry.answer({1: 7, 2: 7}),
        find_schema=registry.find,
        most_in_hand=2,
    )
    async with running(desk):
        await desk.until(lambda: desk.consumer.paused == {FIRST, SECOND} and registry.asked)
        await desk.turns()
        assert desk.consumer.polls, "nothing more is polled"
        registry.found[7].set()
        await desk.until(lambda: desk.consumer.committed == {FIRST: 4})


async def test_a_look_up_that_fails_unexpectedly_ends_the_loop() -> None:
    async def fails(_schema_id: int) -> None:
        raise ZeroDivisionError

    desk = Desk(FakeConsumer(records(1)), Registry().answer({1: 7}), find_schema=fails)
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(desk.begin(), 10)
    assert desk.consumer.stopped


class Away:
    """The registry is away for some calls; then the schema is known, or refused."""

    def __init__(self, outages: int, refused: bool) -> None:
        self.outages, self.refused = outages, refused

    async def find(self, _schema_id: int) -> None:
        if self.outages:
            self.outages -= 1
            raise Unavailable(SCHEMA_REGISTRY, "connection refused")
        if self.refused:
            raise InvalidMessage("unknown")


@pytest.mark.parametrize("refused", [False, True])
async def test_a_registry_that_is_away_is_waited_for_and_named(refused: bool, caplog: pytest.LogCaptureFixture) -> None:
    readiness, away = Readiness(()), Away(3, refused)
    await find_schema(cast("Schemas", away), readiness, 7)
    assert away.outages == 0
    assert readiness.problems == {}
    assert [each.message for each in caplog.records if each.levelname == "WARNING"] == [
        "schema-registry is not available, work waits: connection refused"
    ]
