"""Runs decisions in a thread that is left behind where a Python function does not return: no thread can be ended."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from threading import Thread
from typing import Generic, TypeVar

from typing_extensions import override

from app.domain.errors import InvalidMessage
from app.domain.readiness import Readiness
from app.live.python_calls import Call, Calls
from app.telemetry import metrics

T = TypeVar("T")
R = TypeVar("R")

LOOKS = 20
"""Looks at a call within its time. They are counted, and not seconds: a process that stood still did not look."""

MOST_LEFT = 8
"""Threads that may be left behind; with so many the fault is in the function, not in a message, and messages wait."""

FUNCTIONS = "live functions"
"""The name on `/health/ready` of functions that do not return."""

log = logging.getLogger(__name__)


class _Deciding(Thread, Generic[T, R]):
    """Decides item after item, until it is `left` behind. A daemon: a process ends with it."""

    def __init__(self, decide: Callable[[T], R], items: Sequence[T], on_end: Callable[[], None]) -> None:
        super().__init__(name="live-decisions", daemon=True)
        self.calls = Calls()
        self.answers: list[R | InvalidMessage] = []
        self.error: BaseException | None = None
        self.left = False
        self._decide = decide
        self._items = items
        self._on_end = on_end

    @override
    def run(self) -> None:
        with self.calls.watched():
            try:
                for item in self._items:
                    self.answers.append(self._answer(item))
                    if self.left:
                        return
            except BaseException as error:
                self.error = error
        with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody waits
            self._on_end()

    def _answer(self, item: T) -> R | InvalidMessage:
        try:
            return self._decide(item)
        except InvalidMessage as invalid:
            return invalid


class Decisions:
    """`limit`: seconds that a Python function may take. The mutable state: the threads that are left behind."""

    def __init__(self, limit: float, readiness: Readiness) -> None:
        self._limit = limit
        self._readiness = readiness
        self._left: list[Thread] = []

    async def all(self, decide: Callable[[T], R], items: Sequence[T]) -> list[R | InvalidMessage]:
        """What `decide` returned for each item, in order, or the InvalidMessage that it raised; one too where a
        function took longer than its limit. Raises what else `decide` raises."""
        answers: list[R | InvalidMessage] = []
        while len(answers) < len(items):
            await self._room()
            answers += await self._some(decide, items[len(answers) :])
        return answers

    async def _some(self, decide: Callable[[T], R], items: Sequence[T]) -> list[R | InvalidMessage]:
        """All answers; or those before the first that comes too late, and the reason of that one."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def on_end() -> None:
            loop.call_soon_threadsafe(ended.set)

        thread = _Deciding(decide, items, on_end)
        thread.start()
        seen: Call | None = None
        looks = 0
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._limit / LOOKS):
                        await ended.wait()
                if ended.is_set():
                    if thread.error is not None:
                        raise thread.error
                    return list(thread.answers)
                done, call = len(thread.answers), thread.calls.now
                looks = looks + 1 if call is seen else 1
                seen = call
                if call is not None and looks > LOOKS:
                    return [*thread.answers[:done], self._leave(thread, call)]
        finally:
            thread.left = True

    def _leave(self, thread: Thread, call: Call) -> InvalidMessage:
        self._left.append(thread)
        metrics.LIVE_PYTHON_LATE.inc()
        reason = f"{call.key}.python: {call.function} did not return within {self._limit:g}s"
        log.error("%s; its thread goes on", reason)
        return InvalidMessage(reason)

    async def _room(self) -> None:
        """Waits while too many threads are left behind."""
        while True:
            self._left = [each for each in self._left if each.is_alive()]
            if len(self._left) < MOST_LEFT:
                self._readiness.work_goes_on(FUNCTIONS)
                return
            reason = f"{MOST_LEFT} calls of Python functions do not return: mend the function and restart the service"
            if self._readiness.work_waits(FUNCTIONS, reason):
                log.error("live messages wait: %s", reason)
            await asyncio.sleep(min(1.0, self._limit))
