"""Whose turn it is: sources side by side, jobs in turn, and nothing more than a source takes."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from typing_extensions import override

from app.messaging.slots import ENDING, Slots
from app.messaging.work import Free, Work


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    """Ends what a test has left running: a task that its loop leaves behind is an error in the log of a later test."""
    yield
    while left := asyncio.all_tasks() - {asyncio.current_task()}:  # what ends lets the next one begin
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


class Waits(Work):
    """Work of a desk: waits until it is told to end."""

    def __init__(self, desk: "Desk", lane: str, turn: str, name: str, *, void: bool, urgent: bool) -> None:
        self.desk, self.lane, self.turn, self.name, self.void, self.urgent = desk, lane, turn, name, void, urgent

    @override
    async def run(self, free: Free) -> None:
        self.desk.frees[self.name] = free
        self.desk.running.append(self.name)
        self.desk.ends[self.name] = asyncio.Event()
        try:
            await self.desk.ends[self.name].wait()
        except asyncio.CancelledError:
            self.desk.cancelled.append(self.name)
            raise

    @override
    @property
    def is_void(self) -> bool:
        return self.void

    @override
    @property
    def is_urgent(self) -> bool:
        return self.urgent


class Desk:
    """Work that runs until it is told to end; `running` are the names in the order in which they began."""

    def __init__(self, capacity: int, limit: Callable[[str, bool], int] = lambda _lane, _others: 1000) -> None:
        self.slots = Slots(capacity, limit)
        self.running: list[str] = []
        self.cancelled: list[str] = []
        self.frees: dict[str, Free] = {}
        self.ends: dict[str, asyncio.Event] = {}

    def add(self, lane: str, turn: str, name: str, *, void: bool = False, urgent: bool = False) -> None:
        self.slots.add(Waits(self, lane, turn, name, void=void, urgent=urgent))

    async def fill(self) -> list[str]:
        self.slots.fill()
        await asyncio.sleep(0)
        return self.running

    async def end(self, name: str) -> None:
        self.ends[name].set()
        for _ in range(3):
            await asyncio.sleep(0)


async def test_jobs_of_one_source_take_turns() -> None:
    desk = Desk(3)
    for number in range(5):
        desk.add("source", "large", f"large {number}")
    desk.add("source", "small", "small 0")
    assert await desk.fill() == ["large 0", "small 0", "large 1"]


async def test_a_source_runs_no_more_than_its_limit_while_others_go_on() -> None:
    desk = Desk(4, lambda lane, _others: 1 if lane == "slow" else 1000)
    for number in range(4):
        desk.add("slow", "job", f"slow {number}")
    for number in range(4):
        desk.add("fast", "job", f"fast {number}")
    assert sorted(await desk.fill()) == ["fast 0", "fast 1", "fast 2", "slow 0"]


async def test_the_limit_is_told_whether_others_have_work() -> None:
    told: list[tuple[str, bool]] = []

    def limit(lane: str, others: bool) -> int:
        told.append((lane, others))
        return 1

    desk = Desk(4, limit)
    desk.add("a", "job", "a")
    await desk.fill()
    desk.add("a", "job", "a2")
    desk.add("b", "job", "b")
    await desk.fill()
    assert told[0] == ("a", False)
    assert ("b", True) in told


async def test_the_next_one_begins_when_one_ends() -> None:
    desk = Desk(1)
    desk.add("source", "job", "first")
    desk.add("source", "job", "second")
    assert await desk.fill() == ["first"]
    await desk.end("first")
    assert desk.running == ["first", "second"]
    assert desk.slots.in_hand == 1


async def test_work_that_gives_its_slot_back_makes_room_before_it_ends() -> None:
    desk = Desk(1, lambda _lane, _others: 1)
    for name in ("first", "second"):
        desk.add("source", "job", name)
    assert await desk.fill() == ["first"]
    desk.frees["first"]()
    desk.frees["first"]()  # once only
    await asyncio.sleep(0)
    assert desk.running == ["first", "second"]
    assert desk.slots.in_hand == 2
    desk.add("source", "job", "third")
    await desk.end("first")
    assert desk.running == ["first", "second"]
    await desk.end("second")
    assert desk.running == ["first", "second", "third"]


async def test_nothing_more_starts_while_too_much_is_ending() -> None:
    desk = Desk(2)
    most = 2 + ENDING
    for number in range(most + 10):
        desk.add("source", "job", str(number))
    for name in map(str, range(most)):
        await desk.fill()
        desk.frees[name]()
    assert len(await desk.fill()) == most
    await desk.end("0")
    assert len(desk.running) == most + 1
    for name in desk.running[1:]:
        await desk.end(name)


async def test_a_stop_waits_for_work_that_gave_its_slot_back() -> None:
    desk = Desk(1)
    desk.add("source", "job", "ending")
    await desk.fill()
    desk.frees["ending"]()
    stopping = asyncio.create_task(desk.slots.stop(5))
    await asyncio.sleep(0)
    assert not stopping.done()
    await desk.end("ending")
    await stopping
    assert desk.cancelled == []


async def test_work_of_a_partition_that_was_taken_away_is_not_begun() -> None:
    desk = Desk(4)
    desk.add("source", "job", "gone", void=True)
    desk.add("source", "job", "ours")
    assert await desk.fill() == ["ours"]
    assert desk.slots.in_hand == 1


async def test_a_stop_waits_and_then_cancels_what_has_not_ended() -> None:
    desk = Desk(2)
    for name in ("ends", "late", "never begun"):
        desk.add("source", "job", name)
    await desk.fill()
    stopping = asyncio.create_task(desk.slots.stop(0.05))
    await asyncio.sleep(0)
    await desk.end("ends")
    await stopping
    assert desk.cancelled == ["late"]
    assert desk.running == ["ends", "late"]
    assert desk.slots.in_hand == 0


async def test_a_source_that_hardly_runs_gives_half_of_the_hand_back() -> None:
    desk = Desk(1, lambda lane, _others: 1 if lane == "stalled" else 1000)
    for number in range(11):
        desk.add("stalled", "job", f"stalled {number}")
    desk.add("other", "job", "other")
    assert len(desk.slots.overflow()) == 5
    assert desk.slots.in_hand == 7


async def test_a_source_that_runs_well_keeps_what_it_has_in_hand() -> None:
    desk = Desk(1)
    for number in range(11):
        desk.add("well", "job", f"well {number}")
    assert desk.slots.overflow() == []


async def test_a_lane_that_void_work_emptied_is_gone() -> None:
    told: list[tuple[str, bool]] = []

    def limit(lane: str, others: bool) -> int:
        told.append((lane, others))
        return 1000

    desk = Desk(4, limit)
    for number in range(3):
        desk.add(f"source {number}", "job", f"gone {number}", void=True)
    desk.add("ours", "job", "ours")
    assert await desk.fill() == ["ours"]
    assert told[-1] == ("ours", False), "lanes without work that may start do not count as others"
    assert desk.slots.lanes == {"ours"}
    await desk.end("ours")
    assert desk.slots.lanes == set()


async def test_lanes_that_a_drain_emptied_are_gone_and_those_with_running_work_stay() -> None:
    desk = Desk(1)
    for lane in ("running", "waiting"):
        desk.add(lane, "job", lane)
    assert await desk.fill() == ["running"]
    await desk.slots.drain(lambda work: work.lane == "waiting", 1)
    assert desk.slots.lanes == {"running"}
    desk.add("waiting", "job", "again")
    await desk.end("running")
    assert desk.running == ["running", "again"]
    assert desk.slots.lanes == {"waiting"}
    await desk.end("again")
    assert desk.slots.lanes == set()


async def test_what_overflows_may_be_all_that_a_job_has_in_hand() -> None:
    desk = Desk(1, lambda _lane, _others: 1)
    for job in ("first", "second"):
        for number in range(3):
            desk.add("stalled", job, f"{job} {number}")
    assert {work.turn for work in desk.slots.overflow()} == {"second"}
    assert desk.slots.in_hand == 3
    for number in range(3):
        assert (await desk.fill())[-1] == f"first {number}"
        await desk.end(f"first {number}")
    assert desk.slots.in_hand == 0
    assert desk.slots.lanes == set()


async def test_urgent_work_of_a_source_starts_before_its_other_work_and_takes_turns_of_its_own() -> None:
    desk = Desk(3, lambda lane, _others: 2 if lane == "source" else 1)
    for number in range(3):
        desk.add("source", "job", f"job {number}")
    for name in ("live a0", "live a1", "live b0"):
        desk.add("source", name[:6], name, urgent=True)
    desk.add("other", "job", "other 0")
    assert await desk.fill() == ["live a0", "other 0", "live b0"]
    await desk.end("live a0")
    await desk.end("live b0")
    assert desk.running == ["live a0", "other 0", "live b0", "live a1", "job 0"]


async def test_urgent_work_is_put_back_last_and_forgotten_like_all_other() -> None:
    desk = Desk(0, lambda _lane, _others: 1)
    for name, urgent in (("live", True), ("first", False), ("second", False), ("third", False)):
        desk.add("source", "job", name, urgent=urgent)
    given_back = [work.name for work in desk.slots.overflow() if isinstance(work, Waits)]
    assert given_back == ["third", "second"]
    assert desk.slots.in_hand == 2
    await desk.slots.drain(lambda work: isinstance(work, Waits), 1)
    assert desk.slots.in_hand == 0
