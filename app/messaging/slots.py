"""Which of the commands in hand gets a slot next: sources take turns, and within a source the jobs do."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from itertools import islice

from app.messaging.slot_policy import Limit
from app.messaging.work import Work

PUT_BACK = 2.0
"""Seconds for cancelled work to put its tasks back; without a database it cannot, and its commands come again."""

ENDING = 200
"""Pieces of work that have given their slots back and are not settled yet: as many as the database takes at once."""

HARDLY_RUNS = 2
"""A lane with no more slots than this can be held up for long: what overflows is taken from such a lane."""

log = logging.getLogger(__name__)


class _Lane:
    """The waiting work of one source, its jobs in turn; `running` counts the slots that it holds."""

    def __init__(self) -> None:
        self.turns: dict[Hashable, deque[Work]] = {}
        self.queued = 0
        self.running = 0

    def push(self, work: Work) -> None:
        self.turns.setdefault(work.turn, deque()).append(work)
        self.queued += 1

    def pop(self) -> Work:
        turn, queue = next(iter(self.turns.items()))
        work = queue.popleft()
        del self.turns[turn]
        if queue:
            self.turns[turn] = queue  # to the end of the line
        self.queued -= 1
        return work

    def newest(self) -> Iterator[Work]:
        """Takes work off, the last come first, for putting it back."""
        while self.turns:
            turn, queue = next(reversed(self.turns.items()))
            work = queue.pop()
            if not queue:
                del self.turns[turn]
            self.queued -= 1
            yield work

    def forget(self, select: Callable[[Work], bool]) -> None:
        """Takes selected work off, for good."""
        kept = {turn: deque(work for work in queue if not select(work)) for turn, queue in self.turns.items()}
        self.turns = {turn: queue for turn, queue in kept.items() if queue}
        self.queued = sum(len(queue) for queue in self.turns.values())


class _Slot:
    """What a piece of work holds from its start until it calls `free` or ends, whichever comes first."""

    __slots__ = ("_slots", "is_held", "work")

    def __init__(self, slots: "Slots", work: Work) -> None:
        self._slots = slots
        self.work = work
        self.is_held = True

    def free(self) -> None:
        if self.is_held:
            self.is_held = False
            self._slots._take_back(self)


class Slots:
    """At most `capacity` pieces of work hold a slot; a lane has at most `limit(lane, others_have_work)` of them.

    Beside these, up to `ENDING` that gave theirs back (`Free`) may still be ending before nothing more starts.

    The mutable state: the lanes, each with what waits in it and how many slots it holds; the slots of all that runs;
    and how many of these are held. A lane is there while it has either.
    """

    def __init__(self, capacity: int, limit: Limit) -> None:
        self.capacity = capacity
        self._limit = limit
        self._lanes: dict[str, _Lane] = {}
        self._running: dict[asyncio.Task[None], _Slot] = {}
        self._held = 0
        self._stopped = False

    @property
    def in_hand(self) -> int:
        return sum(lane.queued for lane in self._lanes.values()) + len(self._running)

    @property
    def lanes(self) -> frozenset[str]:
        """Those with work in hand."""
        return frozenset(self._lanes)

    @property
    def running(self) -> int:
        return len(self._running)

    def add(self, work: Work) -> None:
        """Queues it; `fill` starts what may start."""
        lane = self._lanes.get(work.lane)
        if lane is None:
            lane = self._lanes[work.lane] = _Lane()
        lane.push(work)

    def fill(self) -> None:
        """Starts what may start now. Called after `add`, when something ends, and from time to time (limits grow)."""
        most = self.capacity + ENDING
        while not self._stopped and self._held < self.capacity and len(self._running) < most:
            work = self._next()
            if work is None:
                return
            self._start(work)

    def _next(self) -> Work | None:
        """The work whose turn it is, taken off its lane. There are three cases for a lane with waiting work:

        1. It has as many slots as it may have: the next lane is asked.
        2. All that waits is void: the lane is emptied, and who is left is asked anew, as limits depend on the others.
        3. Its first work that is not void gets a slot, and the lane goes to the end of the line.
        """
        waiting = [name for name, lane in self._lanes.items() if lane.queued]
        for name in waiting:
            lane = self._lanes[name]
            if lane.running >= self._limit(name, len(waiting) > 1):
                continue
            work = lane.pop()
            while work.is_void and lane.queued:
                work = lane.pop()
            if work.is_void:
                self._remove_if_empty(name)
                return self._next()
            self._lanes[name] = self._lanes.pop(name)
            return work
        return None

    def _start(self, work: Work) -> None:
        slot = _Slot(self, work)
        self._lanes[work.lane].running += 1
        self._held += 1
        task = asyncio.ensure_future(work.run(slot.free))
        self._running[task] = slot
        task.add_done_callback(self._ended)

    def _take_back(self, slot: _Slot) -> None:
        self._lanes[slot.work.lane].running -= 1
        self._held -= 1
        self._remove_if_empty(slot.work.lane)
        self.fill()

    def _ended(self, task: asyncio.Task[None]) -> None:
        slot = self._running.pop(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("work ended with an unexpected error", exc_info=task.exception())
        slot.free()
        self.fill()

    def _remove_if_empty(self, name: str) -> None:
        lane = self._lanes[name]
        if not lane.running and not lane.queued:
            del self._lanes[name]

    def overflow(self) -> list[Work]:
        """Takes off half of the longest lane where it can hardly run: it would keep other sources out of the hand."""
        name = max(self._lanes, key=lambda n: self._lanes[n].queued, default=None)
        if name is None or self._limit(name, True) > HARDLY_RUNS:
            return []
        lane = self._lanes[name]
        return list(islice(lane.newest(), lane.queued // 2))

    async def drain(self, select: Callable[[Work], bool], timeout: float, putting_back: float = PUT_BACK) -> None:
        """Forgets selected work that has not started, waits for what runs, cancels what has not ended in time.

        What is cancelled has `putting_back` more seconds: without a database it would wait for that without end.
        """
        for name, lane in list(self._lanes.items()):
            lane.forget(select)
            self._remove_if_empty(name)
        ending = {task for task, slot in self._running.items() if select(slot.work)}
        if not ending:
            return
        _, late = await asyncio.wait(ending, timeout=timeout)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=putting_back)

    async def stop(self, timeout: float) -> None:
        """Starts nothing more; within `timeout` seconds what runs ends or is put back."""
        self._stopped = True
        putting_back = min(PUT_BACK, timeout / 3)
        await self.drain(lambda _: True, timeout - putting_back, putting_back)
