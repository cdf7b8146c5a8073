"""The command loop: what is polled is looked up, handed out, settled; what cannot be handled is a dead letter."""

import asyncio
import logging

import pytest
from typing_extensions import override

from app.broker import Record
from app.domain.errors import Unavailable
from app.domain.readiness import BROKER
from app.messaging import consumer as module
from app.messaging.consumer import PUT_BACK_OVERFLOW
from app.messaging.dispatch import Acknowledged, Answer, DeadLetter
from app.messaging.work import Free, Work
from tests.unit.messaging.fakes import FIRST, SECOND, Desk, FakeConsumer, record, records, running


class Piece(Work):
    """Work that runs until `end` is set, or fails with `error`; it can be put back."""

    def __init__(self, lane: str = "source", turn: str = "job") -> None:
        self.lane, self.turn = lane, turn
        self.end = asyncio.Event()
        self.begun = self.was_cancelled = False
        self.error: Exception | None = None
        self.put_backs: list[float] = []

    @override
    async def run(self, free: Free) -> None:
        self.begun = True
        try:
            await self.end.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        if self.error is not None:
            raise self.error

    @override
    @property
    def can_be_put_back(self) -> bool:
        return True

    @override
    async def put_back(self, seconds: float) -> None:
        self.put_backs.append(seconds)


class Works:
    """A piece of work for each offset."""

    def __init__(self, *offsets: int, lane: str = "source") -> None:
        self.by_offset = {offset: Piece(lane) for offset in offsets}

    def __call__(self, polled: Record) -> Answer:
        return self.by_offset.get(polled.offset) or Acknowledged()

    def __getitem__(self, offset: int) -> Piece:
        return self.by_offset[offset]

    def begun(self) -> list[int]:
        return [offset for offset, work in self.by_offset.items() if work.begun]


async def test_an_offset_is_committed_when_every_one_below_it_is_settled() -> None:
    works = Works(1, 2, 3)
    desk = Desk(FakeConsumer(records(1, 2, 3)), works)
    async with running(desk):
        await desk.until(lambda: works.begun() == [1, 2, 3])
        works[2].end.set()
        works[3].end.set()
        await desk.turns()
        assert desk.consumer.committed == {}
        works[1].end.set()
        await desk.until(lambda: desk.consumer.committed == {FIRST: 4})


async def test_polling_goes_on_while_work_is_slow() -> None:
    works = Works(1, 2)
    desk = Desk(FakeConsumer(records(1), records(2)), works)
    async with running(desk):
        await desk.until(lambda: works.begun() == [1, 2])
        for offset in (1, 2):
            works[offset].end.set()


async def test_partitions_are_paused_while_enough_is_in_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    works = Works(1, 2, 3)
    desk = Desk(FakeConsumer(records(1, 2), records(3)), works, most_in_hand=2)
    async with running(desk):
        await desk.until(lambda: works.begun() == [1, 2])
        await desk.until(lambda: desk.consumer.paused == {FIRST, SECOND})
        await desk.turns()
        assert works.begun() == [1, 2]
        works[1].end.set()
        await desk.until(lambda: works.begun() == [1, 2, 3])
        assert desk.consumer.committed == {FIRST: 2}
        for offset in (2, 3):
            works[offset].end.set()


async def test_partitions_are_paused_while_a_look_up_runs_and_resumed_after_it() -> None:
    desk = Desk(FakeConsumer(records(1), records(2)), lambda _: Acknowledged())
    desk.dispatcher.hold(1)
    async with running(desk):
        await desk.until(lambda: desk.consumer.paused == {FIRST, SECOND})
        await desk.turns()
        assert desk.dispatcher.looked_up == [[1]]
        desk.dispatcher.release(1)
        await desk.until(lambda: desk.consumer.committed == {FIRST: 3})
        assert desk.consumer.paused == set()


async def test_commands_of_a_stalled_source_are_put_back_when_they_fill_the_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    works = Works(*range(1, 9))
    desk = Desk(
        FakeConsumer(records(*range(1, 9))), works, limit=lambda lane, _: 1 if lane == "source" else 100, most_in_hand=8
    )
    async with running(desk):
        await desk.until(lambda: sum(len(work.put_backs) for work in works.by_offset.values()) >= 3)
        put_back = [offset for offset, work in works.by_offset.items() if work.put_backs]
        assert put_back[-3:] == [6, 7, 8], "the last come first"
        assert works[8].put_backs == [PUT_BACK_OVERFLOW]
        assert works.begun() == [1]
        for offset in range(1, 6):
            works[offset].end.set()
        await desk.until(lambda: desk.consumer.committed == {FIRST: 9})


async def test_work_that_cannot_be_put_back_stays_when_the_hand_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stays(Piece):
        @override
        @property
        def can_be_put_back(self) -> bool:
            return False

    works = Works(1, 2, 3, 4)
    works.by_offset = {offset: Stays() for offset in works.by_offset}
    desk = Desk(FakeConsumer(records(1, 2, 3, 4)), works, limit=lambda _lane, _others: 1, most_in_hand=4)
    async with running(desk):
        await desk.until(works.begun)
        await desk.turns()
        assert desk.slots.in_hand == 4
        for work in works.by_offset.values():
            work.end.set()
        await desk.until(lambda: desk.consumer.committed == {FIRST: 5})
    assert not any(work.put_backs for work in works.by_offset.values())


async def test_a_record_that_nobody_can_handle_is_a_dead_letter_before_its_offset_counts() -> None:
    acknowledged = asyncio.Event()
    desk = Desk(
        FakeConsumer(records(1, 2)), lambda polled: DeadLetter("garbage") if polled.offset == 1 else Acknowledged()
    )
    desk.acknowledge_dead_letter = acknowledged
    async with running(desk):
        await desk.until(lambda: desk.dead_letters == {1: ["garbage"]})
        await desk.turns()
        assert desk.consumer.committed == {}
        acknowledged.set()
        await desk.until(lambda: desk.consumer.committed == {FIRST: 3})


async def test_work_that_ends_with_an_error_keeps_its_offset_and_all_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    works = Works(1, 2)
    works[1].error = ZeroDivisionError()
    desk = Desk(FakeConsumer([record(1), record(2, SECOND)]), works)
    async with running(desk):
        for offset in (1, 2):
            works[offset].end.set()
        await desk.until(lambda: desk.consumer.committed == {SECOND: 3})
        await desk.turns()
        assert FIRST not in desk.consumer.committed
    assert any("unexpected error" in line.message and line.levelno == logging.ERROR for line in caplog.records)


async def test_an_outage_of_the_broker_is_named_and_polling_goes_on() -> None:
    desk = Desk(FakeConsumer(records(1)), lambda _: Acknowledged())
    desk.consumer.poll_fails = [Unavailable(BROKER, "connection refused")] * 3
    async with running(desk):
        await desk.until(lambda: desk.readiness.problems[BROKER] == "connection refused")
        await desk.until(lambda: desk.consumer.committed == {FIRST: 2})
        await desk.until(lambda: desk.readiness.problems[BROKER] == "not seen yet")


class TestRevoked:
    async def test_what_runs_may_end_and_is_committed_before_the_partition_is_given_up(self) -> None:
        works = Works(1, 2)
        desk = Desk(FakeConsumer(records(1, 2)), works)
        desk.consumer.is_member = False
        async with running(desk):
            await desk.until(lambda: works.begun() == [1, 2])
            revoking = asyncio.create_task(desk.consumer.revoke(FIRST))
            await desk.turns()
            assert not revoking.done()
            desk.consumer.is_member = True
            for offset in (1, 2):
                works[offset].end.set()
            await revoking
            assert desk.consumer.committed == {FIRST: 3}

    async def test_what_was_not_started_is_forgotten_and_other_partitions_go_on(self) -> None:
        works = Works(1, 2, 3)
        desk = Desk(FakeConsumer([record(1), record(2), record(3, SECOND)]), works, limit=lambda _lane, _others: 1)
        async with running(desk):
            await desk.until(lambda: works.begun() == [1])
            works[1].end.set()
            await desk.consumer.revoke(FIRST)
            await desk.until(lambda: works[3].begun)
            works[3].end.set()
            await desk.until(lambda: desk.consumer.committed.get(SECOND) == 4)
            assert not works[2].begun
            assert desk.consumer.committed[FIRST] == 2
            assert desk.slots.in_hand == 0

    async def test_what_does_not_end_in_time_is_cancelled_and_not_committed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "SETTLE_ON_REVOKE", 0.0)
        works = Works(1)
        desk = Desk(FakeConsumer(records(1)), works)
        async with running(desk):
            await desk.until(works.begun)
            await desk.consumer.revoke(FIRST)
            assert works[1].was_cancelled
            assert desk.consumer.committed == {}

    async def test_records_in_their_look_up_are_not_handed_out(self) -> None:
        works = Works(1)
        desk = Desk(FakeConsumer(records(1)), works)
        desk.dispatcher.hold(1)
        async with running(desk):
            await desk.until(lambda: desk.dispatcher.looked_up)
            await desk.consumer.revoke(FIRST)
            desk.dispatcher.release(1)
            await desk.turns()
            assert not works[1].begun
            assert desk.slots.in_hand == 0

    async def test_what_was_to_be_put_back_is_forgotten_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        works = Works(1, 2, 3, 4)
        desk = Desk(
            FakeConsumer(records(1, 2, 3, 4)), works, limit=lambda lane, _: 1 if lane == "source" else 0, most_in_hand=4
        )
        async with running(desk):
            await desk.until(lambda: "putting back" in desk.slots.lanes)
            works[1].end.set()
            await desk.consumer.revoke(FIRST)
            assert desk.slots.in_hand == 0
        assert not any(work.put_backs for work in works.by_offset.values())


class TestStop:
    async def test_a_stop_starts_nothing_more_and_lets_what_runs_end_before_it_commits_and_leaves(self) -> None:
        works = Works(1, 2)
        desk = Desk(FakeConsumer(records(1, 2)), works, limit=lambda _lane, _others: 1)
        loop = desk.begin(shutdown_timeout=10)
        await desk.until(lambda: works.begun() == [1])
        desk.stop.set()
        await desk.turns(50)
        assert not loop.done()
        works[1].end.set()
        await asyncio.wait_for(loop, 10)
        assert works.begun() == [1]
        assert desk.consumer.committed == {FIRST: 2}
        assert desk.consumer.stopped

    async def test_what_does_not_end_within_the_timeout_is_cancelled(self) -> None:
        works = Works(1)
        desk = Desk(FakeConsumer(records(1)), works)
        async with running(desk, shutdown_timeout=0.01):
            await desk.until(works.begun)
        assert works[1].was_cancelled
        assert desk.consumer.committed == {}
        assert desk.consumer.stopped

    async def test_a_broker_that_does_not_answer_holds_no_stop_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Silent(FakeConsumer):
            @override
            async def stop(self) -> None:
                await asyncio.Event().wait()

        monkeypatch.setattr(module, "LEAVE", 0.01)
        desk = Desk(Silent(), lambda _: Acknowledged())
        async with running(desk):
            await desk.turns(5)


async def test_commands_that_were_read_show_that_the_broker_is_reached_before_any_is_done() -> None:
    works = Works(1)
    desk = Desk(FakeConsumer(records(1)), works)
    async with running(desk):
        await desk.until(lambda: works.begun() == [1])
        assert desk.readiness.worked_at(BROKER) > float("-inf")
        assert desk.consumer.committed == {}
        works[1].end.set()
