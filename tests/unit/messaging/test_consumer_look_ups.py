"""Records that come while a look-up runs: a partition that was just assigned is not paused yet."""

import asyncio
from collections.abc import Sequence

import pytest
from typing_extensions import override

from app.broker import Record
from app.messaging.dispatch import Acknowledged, Answer
from tests.unit.messaging.fakes import FIRST, SECOND, Desk, FakeConsumer, records, running


def settled(_record: Record) -> Answer:
    return Acknowledged()


async def test_records_that_come_during_a_look_up_are_looked_up_after_it() -> None:
    desk = Desk(FakeConsumer(records(1, 2)), settled)
    desk.dispatcher.hold(1)
    async with running(desk):
        await desk.until(lambda: desk.dispatcher.looked_up)
        desk.consumer.forced = [records(10, 11, partition=SECOND), records(12, partition=SECOND)]
        await desk.until(lambda: not desk.consumer.forced)
        await desk.turns()
        assert desk.dispatcher.looked_up == [[1, 2]]
        assert (desk.loop.in_hand, desk.loop.in_flight) == (5, 0), "those that are looked up count too"
        desk.dispatcher.release(1)
        await desk.until(lambda: desk.consumer.committed == {FIRST: 3, SECOND: 13})
    assert desk.dispatcher.most_at_once == 1
    assert desk.dispatcher.looked_up == [[1, 2], [10, 11, 12]]
    assert (desk.loop.in_hand, desk.loop.in_flight) == (0, 0)


async def test_no_poll_waits_for_records_while_a_look_up_runs_so_that_its_end_is_seen_at_once() -> None:
    class Timed(FakeConsumer):
        waits: list[float]

        @override
        async def poll(self, timeout: float, max_records: int) -> Sequence[Record]:
            self.waits.append(timeout)
            return await super().poll(timeout, max_records)

    consumer = Timed(records(1))
    consumer.waits = []
    desk = Desk(consumer, settled)
    desk.dispatcher.hold(1)
    async with running(desk):
        await desk.until(lambda: desk.dispatcher.looked_up)
        before = len(consumer.waits)
        await desk.until(lambda: len(consumer.waits) > before)
        assert set(consumer.waits[before:]) == {0}
        desk.dispatcher.release(1)
        await desk.until(lambda: consumer.waits[-1] > 0)


async def test_a_look_up_that_fails_ends_the_loop_also_where_records_came_meanwhile() -> None:
    desk = Desk(FakeConsumer(records(1)), settled)
    desk.dispatcher.hold(1)
    loop = desk.begin()
    await desk.until(lambda: desk.dispatcher.looked_up)
    desk.consumer.forced = [records(10, partition=SECOND)]
    await desk.until(lambda: not desk.consumer.forced)
    desk.dispatcher.release(1, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(loop, 10)
    assert desk.consumer.stopped


async def test_a_stop_cancels_the_look_up_and_what_waits_behind_it() -> None:
    desk = Desk(FakeConsumer(records(1)), settled)
    desk.dispatcher.hold(1)
    async with running(desk):
        await desk.until(lambda: desk.dispatcher.looked_up)
        desk.consumer.forced = [records(10, partition=SECOND)]
        await desk.until(lambda: not desk.consumer.forced)
        await desk.turns()
    assert desk.dispatcher.cancelled == [1]
    assert desk.dispatcher.looked_up == [[1]]
    assert desk.consumer.committed == {}
    await desk.turns()
    assert desk.slots.in_hand == 0


async def test_a_look_up_that_fails_while_the_loop_stops_is_not_lost() -> None:
    class StopsInPoll(FakeConsumer):
        @override
        async def poll(self, timeout: float, max_records: int) -> Sequence[Record]:
            if desk.dispatcher.looked_up:
                desk.stop.set()
                desk.dispatcher.release(1, ZeroDivisionError())
                await desk.turns()
            return await super().poll(timeout, max_records)

    desk = Desk(StopsInPoll(records(1)), settled)
    desk.dispatcher.hold(1)
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(desk.begin(), 10)
    assert desk.consumer.stopped


async def test_records_of_a_partition_that_was_taken_away_before_their_look_up_are_dropped() -> None:
    """They are given to the next owner, who may be the same: its records are counted from the start."""
    desk = Desk(FakeConsumer(records(1)), settled)
    desk.dispatcher.hold(1)
    async with running(desk):
        await desk.until(lambda: desk.dispatcher.looked_up)
        desk.consumer.forced = [records(10, 11, partition=SECOND)]
        await desk.until(lambda: not desk.consumer.forced)
        await desk.consumer.revoke(SECOND)
        desk.consumer.partitions.add(SECOND)
        desk.consumer.forced = [records(10, partition=SECOND)]
        await desk.until(lambda: not desk.consumer.forced)
        desk.dispatcher.release(1)
        await desk.until(lambda: desk.consumer.committed == {FIRST: 2, SECOND: 11})
    assert desk.dispatcher.looked_up == [[1], [10]]
