"""Which of the commands in hand gets a slot next: sources take turns, and within a source the jobs do."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterator
from dataclasses import dataclass
from itertools import islice

PUT_BACK = 2.0
"""Seconds for cancelled work to put its tasks back; without a database it cannot, and its commands come again."""

ENDING = 200
"""Pieces of work that have given their slots back and are not settled yet: as many as the database takes at once."""

Free = Callable[[], None]
"""Gives the slot of a piece of work back before it ends: what is left asks neither source nor store."""

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Work:
    """A command in hand. `lane` is the source it will ask, `turn` the job it belongs to.

    `run` does it and returns once it is settled; cancelled, it puts the task back. `put_back` does so for one that was
    not started, not before the given number of seconds.
    """

    lane: str
    turn: Hashable
    run: Callable[[Free], Awaitable[None]]
    put_back: Callable[[float], Awaitable[None]] | None = None
    is_void: Callable[[], bool] = lambda: False
    """True once its partition was taken away: somebody else will get the command."""


class _Lane:
    """The waiting work of one source, its jobs in turn."""

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


class Slots:
    """At most `capacity` pieces of work hold a slot; a lane has at most `limit(lane, others_have_work)` of them.

    Beside these, up to `ENDING` that gave theirs back (`Free`) may still be ending before nothing more starts.
    """

    def __init__(self, capacity: int, limit: Callable[[str, bool], int]) -> None:
        self.capacity = capacity
        self._limit = limit
        self._lanes: dict[str, _Lane] = {}
        self._running: dict[asyncio.Task[None], Work] = {}
        self._taken = 0
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
        self._lanes.setdefault(work.lane, _Lane()).push(work)

    def fill(self) -> None:
        """Starts what may start now. Called after `add`, when something ends, and from time to time (limits grow)."""
        most = self.capacity + ENDING
        while not self._stopped and self._taken < self.capacity and len(self._running) < most:
            work = self._next()
            if work is None:
                return
            self._start(work)

    def _next(self) -> Work | None:
        waiting = [name for name, lane in self._lanes.items() if lane.queued]
        for name in waiting:
            lane = self._lanes[name]
            if lane.running < self._limit(name, len(waiting) > 1):
                self._lanes[name] = self._lanes.pop(name)  # this lane had its turn
                while lane.queued:
                    work = lane.pop()
                    if not work.is_void():
                        return work
                self._forget_if_empty(name)
                return self._next()
        return None

    def _forget_if_empty(self, name: str) -> None:
        lane = self._lanes[name]
        if not lane.running and not lane.queued:
            del self._lanes[name]

    def _start(self, work: Work) -> None:
        name, lane, holds = work.lane, self._lanes[work.lane], True
        lane.running += 1
        self._taken += 1

        def free() -> None:
            nonlocal holds
            if holds:
                holds = False
                self._taken -= 1
                lane.running -= 1
                self._forget_if_empty(name)
                self.fill()

        def ended(task: asyncio.Task[None]) -> None:
            del self._running[task]
            if not task.cancelled() and task.exception() is not None:
                log.error("work ended with an unexpected error", exc_info=task.exception())
            free()
            self.fill()

        task = asyncio.ensure_future(work.run(free))
        self._running[task] = work
        task.add_done_callback(ended)

    def overflow(self) -> list[Work]:
        """Takes off half of the longest lane where it can hardly run: it would keep other sources out of the hand."""
        name = max(self._lanes, key=lambda n: self._lanes[n].queued, default=None)
        if name is None or self._limit(name, True) > 2:
            return []
        lane = self._lanes[name]
        count = lane.queued // 2
        return list(islice(lane.newest(), count))

    async def drain(self, select: Callable[[Work], bool], timeout: float, putting_back: float = PUT_BACK) -> None:
        """Forgets selected work that has not started, waits for what runs, cancels what has not ended in time.

        What is cancelled has `putting_back` more seconds: without a database it would wait for that without end.
        """
        for name, lane in list(self._lanes.items()):
            lane.turns = {
                turn: kept
                for turn, queue in lane.turns.items()
                if (kept := deque(work for work in queue if not select(work)))
            }
            lane.queued = sum(len(queue) for queue in lane.turns.values())
            self._forget_if_empty(name)
        ending = {task for task, work in self._running.items() if select(work)}
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
