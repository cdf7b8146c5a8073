"""Whatever comes, ends, gives its slot back or is taken away: the slots are never too many, and no work is lost."""

import asyncio
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from app.messaging.slots import Slots
from app.messaging.work import Free, Work

LANES = ("a", "b", "slow")


class Piece(Work):
    """Runs until `end` is set; counts what holds a slot."""

    def __init__(self, house: "House", lane: str, turn: int, number: int) -> None:
        self.house, self.lane, self.turn, self.number = house, lane, turn, number
        self.end = asyncio.Event()
        self.void = False
        self._free: Free | None = None

    def free(self) -> None:
        if self._free is not None:
            self.house.holding.discard(self)
            self._free()

    @override
    async def run(self, free: Free) -> None:
        assert not self.void, "void work is not started"
        self.house.runs[self.number] += 1
        self.house.holding.add(self)
        self._free = free
        self.house.started.append(self)
        try:
            await self.end.wait()
        finally:
            self.house.holding.discard(self)
            self.house.ended.add(self.number)

    @override
    @property
    def is_void(self) -> bool:
        return self.void


class House:
    def __init__(self, capacity: int) -> None:
        self.slots = Slots(capacity, lambda lane, others: 1 if lane == "slow" else (2 if others else 3))
        self.capacity = capacity
        self.all: list[Piece] = []
        self.started: list[Piece] = []
        self.holding: set[Piece] = set()
        self.runs: Counter[int] = Counter()
        self.ended: set[int] = set()
        self.taken_off: set[int] = set()

    def check(self) -> None:
        assert len(self.holding) <= self.capacity
        assert Counter(piece.lane for piece in self.holding)["slow"] <= 1
        assert max(self.runs.values(), default=0) <= 1, "nothing runs twice"
        queued = {p.number for p in self.all} - set(self.runs) - self.taken_off
        assert self.slots.in_hand <= len(queued) + len(self.runs) - len(self.ended)
        present = {p.lane for p in self.all if p.number not in self.ended and p.number not in self.taken_off}
        assert self.slots.lanes <= present, "a lane is there only while it has work"


Step = tuple[str, int, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "add", "end", "free", "void", "overflow", "drain", "fill"]),
        st.integers(0, 2),
        st.integers(0, 30),
    ),
    max_size=60,
)


@settings(deadline=None)
@given(st.integers(1, 4), STEPS)
def test_slots_are_never_too_many_and_no_work_is_lost_or_run_twice(capacity: int, steps: list[Step]) -> None:
    asyncio.run(_live(capacity, steps))


async def _live(capacity: int, steps: list[Step]) -> None:
    house = House(capacity)
    for what, lane, number in steps:
        await _step(house, what, lane, number)
        for _ in range(4):  # what ends tells its slot in the next turns of the loop
            await asyncio.sleep(0)
        house.check()
    # In the end all runs that was not taken away.
    for _ in range(10 * len(steps) + 10):
        for piece in list(house.started):
            piece.end.set()
        house.slots.fill()
        await asyncio.sleep(0)
    for _ in range(4):
        await asyncio.sleep(0)
    wanted = {p.number for p in house.all if not p.void} - house.taken_off
    assert wanted <= set(house.runs), "no work is lost"
    assert house.slots.in_hand == 0
    assert house.slots.lanes == frozenset()


async def _step(house: House, what: str, lane: int, number: int) -> None:
    if what == "add":
        piece = Piece(house, LANES[lane], number % 3, len(house.all))
        house.all.append(piece)
        house.slots.add(piece)
        house.slots.fill()
    elif what == "fill":
        house.slots.fill()
    elif what == "overflow":
        house.taken_off |= {piece.number for piece in house.slots.overflow() if isinstance(piece, Piece)}
    elif what == "drain":
        chosen = {p.number for p in house.all if p.turn == number % 3 and p.number not in house.runs}
        house.taken_off |= chosen
        await house.slots.drain(lambda work: isinstance(work, Piece) and work.number in chosen, 0)
    elif house.all:
        piece = house.all[number % len(house.all)]
        if what == "end":
            piece.end.set()
        elif what == "void" and piece.number not in house.runs:
            piece.void = True
        elif what == "free" and piece.number not in house.ended:
            piece.free()
