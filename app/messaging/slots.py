"""Decides which waiting work gets a slot next: sources take turns, and within a source the jobs take turns."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from itertools import islice

from app.messaging.slot_policy import LaneLimit
from app.messaging.work import Work

IN_HAND = 20_000
"""Commands in the memory of one process (about 2 KB each): enough that many large jobs cannot hide a small one."""

PUT_BACK = 2.0
"""Seconds for cancelled work to put its tasks back; without a database it cannot, and its commands are delivered again.
"""

ENDING = 200
"""The largest number of pieces of work that have given back their slot and are not settled: as many as the database
takes at once."""

HARDLY_RUNS = 2
"""A lane with at most this many slots may be blocked for long: such a lane gives up work when memory is full."""

log = logging.getLogger(__name__)


Turns = dict[Hashable, deque[Work]]


class _Lane:
    """The waiting work of one source, whose jobs take turns; `running` counts the slots that the lane holds.

    Urgent work is popped first, in its own turns.
    """

    def __init__(self) -> None:
        self._urgent: Turns = {}
        self._turns: Turns = {}
        self.queued = 0
        self.running = 0

    def push(self, work: Work) -> None:
        turns = self._urgent if work.is_urgent else self._turns
        turns.setdefault(work.turn, deque()).append(work)
        self.queued += 1

    def pop(self) -> Work:
        turns = self._urgent or self._turns
        turn, queue = next(iter(turns.items()))
        work = queue.popleft()
        del turns[turn]
        if queue:
            turns[turn] = queue  # to the end of the line
        self.queued -= 1
        return work

    def newest(self) -> Iterator[Work]:
        """Removes work from the lane, the newest first and urgent work last, so that it can be put back."""
        while turns := self._turns or self._urgent:
            turn, queue = next(reversed(turns.items()))
            work = queue.pop()
            if not queue:
                del turns[turn]
            self.queued -= 1
            yield work

    def forget(self, select: Callable[[Work], bool]) -> None:
        """Removes the selected work for good."""
        self._urgent = _without(self._urgent, select)
        self._turns = _without(self._turns, select)
        self.queued = sum(len(queue) for turns in (self._urgent, self._turns) for queue in turns.values())


def _without(turns: Turns, select: Callable[[Work], bool]) -> Turns:
    kept = {turn: deque(work for work in queue if not select(work)) for turn, queue in turns.items()}
    return {turn: queue for turn, queue in kept.items() if queue}


class _Slot:
    """The slot of a piece of work, held from its start until it calls `free` or ends, whichever comes first."""

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

    Up to `ENDING` more pieces may have given back their slot (`Free`) and not have ended; with more of them, nothing
    starts.

    The mutable state: the lanes, each with its waiting work and the number of its slots; the slots of all running work;
    and how many of these are held. A lane exists while it has waiting work or a slot.
    """

    def __init__(self, capacity: int, limit: LaneLimit, most_in_hand: int = IN_HAND) -> None:
        """`most_in_hand`: with so much accepted work nothing more is to be polled."""
        self.capacity = capacity
        self.most_in_hand = most_in_hand
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
        """The lanes that have work, waiting or running."""
        return frozenset(self._lanes)

    @property
    def running(self) -> int:
        return len(self._running)

    def add(self, work: Work) -> None:
        """Queues the work; `fill` starts it when its turn comes."""
        lane = self._lanes.get(work.lane)
        if lane is None:
            lane = self._lanes[work.lane] = _Lane()
        lane.push(work)

    def fill(self) -> None:
        """Starts all work that may start now.

        Called after `add`, when work ends, and from time to time, as limits grow.
        """
        most = self.capacity + ENDING
        while not self._stopped and self._held < self.capacity and len(self._running) < most:
            work = self._next()
            if work is None:
                return
            self._start(work)

    def _next(self) -> Work | None:
        """The work whose turn it is, removed from its lane. There are three cases for a lane with waiting work:

        1. It has as many slots as it may have: the next lane is tried.
        2. All its waiting work is void: the lane is emptied, and the other lanes are tried anew, as limits depend on
           the others.
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
        """Removes half of the longest lane if that lane has hardly any slots: its work fills the memory that other
        sources need."""
        name = max(self._lanes, key=lambda n: self._lanes[n].queued, default=None)
        if name is None or self._limit(name, True) > HARDLY_RUNS:
            return []
        lane = self._lanes[name]
        return list(islice(lane.newest(), lane.queued // 2))

    async def drain(self, select: Callable[[Work], bool], timeout: float, putting_back: float = PUT_BACK) -> None:
        """Forgets selected work that has not started, waits for running work, cancels what has not ended in time.

        Cancelled work has `putting_back` seconds more: without a database it would wait for that without end.
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
        """Starts nothing more; within `timeout` seconds running work ends or is put back."""
        self._stopped = True
        putting_back = min(PUT_BACK, timeout / 3)
        await self.drain(lambda _: True, timeout - putting_back, putting_back)
