"""The parent of several equal processes: starts them on one socket, starts again what died, stops all together."""

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds before a process that died is started again; each pause is twice the one before."""

LONG_ENOUGH = 60.0
"""Seconds that a process must have run for the next pause to be the first again."""

log = logging.getLogger(__name__)


class Child(Protocol):
    """A process that was started."""

    @property
    def pid(self) -> int: ...

    async def listening(self) -> str:
        """Returns once the process listens, with what it says then; or empty, once it can no longer come to it."""
        ...

    async def wait(self) -> int:
        """Returns the exit code once the process has ended; the number of its signal as a negative one."""
        ...

    def send(self, number: signal.Signals) -> None:
        """Sends the signal; nothing where the process has ended."""
        ...


class Parent:
    """`start` starts the process of a number, `say` prints what the first one says once it listens.

    The first process is started alone: what refuses the start is said once, and an older database is migrated once.
    """

    def __init__(
        self,
        count: int,
        start: Callable[[int], Awaitable[Child]],
        say: Callable[[str], None],
        on_stop: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._count = count
        self._start = start
        self._say = say
        self._on_stop = on_stop
        self._clock = clock
        self._sleep = sleep
        self._running: dict[int, Child] = {}
        self._listened: set[int] = set()
        self._first = asyncio.Event()
        self._stop = asyncio.Event()
        self._kill = False

    async def run(self) -> int:
        """Until all processes have ended after a stop. Returns the exit code: 0 where all stopped well."""
        keepers = [asyncio.create_task(self._keep(1))]
        await _first_of(self._first.wait(), asyncio.wait(keepers))
        if not self._stop.is_set():
            keepers += [asyncio.create_task(self._keep(number)) for number in range(2, self._count + 1)]
        codes = await asyncio.gather(*keepers)
        return 1 if self._kill else next((code for code in codes if code), 0)

    def ask(self, name: str) -> None:
        """A signal came: the first one stops all processes in good order, a second one kills them."""
        if not self._stop.is_set():
            log.info("%s: stopping", name)
            self._stop_all()
            return
        log.warning("%s again: ending at once", name)
        self._kill = True
        self._send(signal.SIGKILL)

    def _stop_all(self) -> None:
        if not self._stop.is_set():
            self._stop.set()
            self._on_stop()
            self._send(signal.SIGTERM)

    def _send(self, number: signal.Signals) -> None:
        for child in self._running.values():
            child.send(number)

    async def _keep(self, number: int) -> int:
        """Keeps the process of this number running until the stop. Returns its exit code, as a shell shows it."""
        pause = 0.0
        while not self._stop.is_set():
            began = self._clock()
            try:
                child = await self._start(number)
            except OSError as error:
                if self._stop.is_set():  # which closed the socket meanwhile
                    return 0
                log.error("process %d cannot be started: %s", number, error)
                code, how = 1, f"process {number} could not be started"
            else:
                code = await self._run(number, child)
                how = f"process {number} (pid {child.pid}) {_ending(code)}"
            if self._stop.is_set():
                return self._code_at_stop(number, code, how)
            if number not in self._listened:  # it never did: the same would come of the next one
                level = logging.INFO if code > 0 else logging.ERROR  # the former said itself why
                log.log(level, "%s before it listened: all processes are stopped", how)
                self._stop_all()
                return _as_shell(code)
            pause = next_pause(pause, self._clock() - began)
            log.warning("%s; it is started again in %g s", how, pause)
            await _first_of(self._stop.wait(), self._sleep(pause))
        return 0

    async def _run(self, number: int, child: Child) -> int:
        self._running[number] = child
        if self._stop.is_set():  # it came while the process was started
            child.send(signal.SIGKILL if self._kill else signal.SIGTERM)
        said = await child.listening()
        if said:
            log.info("process %d listens (pid %d)", number, child.pid)
            self._listened.add(number)
            if not self._first.is_set():
                self._first.set()
                self._say(said)
        code = await child.wait()
        del self._running[number]
        return code

    def _code_at_stop(self, number: int, code: int, how: str) -> int:
        if code == -signal.SIGTERM:  # ours: it was still loading, and had begun nothing
            return 0
        if code != 0:
            log.warning("%s while it stopped", how)
        return _as_shell(code)


def next_pause(pause: float, ran: float) -> float:
    """Seconds before the next start, after the last pause (0: none yet) and a process that ran for `ran` seconds."""
    return FIRST_PAUSE if pause == 0 or ran >= LONG_ENOUGH else min(2 * pause, LONGEST_PAUSE)


def _ending(code: int) -> str:
    return f"ended with exit code {code}" if code >= 0 else f"was ended by {_name(-code)}"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # one of the real-time signals
        return f"signal {number}"


def _as_shell(code: int) -> int:
    return code if code >= 0 else 128 - code


async def _first_of(*things: Awaitable[object]) -> None:
    """Returns once one of them is done; the others are cancelled."""
    tasks = [asyncio.ensure_future(each) for each in things]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
