"""The parent of several processes: what it starts, starts again and stops, with processes that are only played."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable

import pytest

from app.process.parent import LONG_ENOUGH, LONGEST_PAUSE, Parent, next_pause


class Played:
    """A process that does what a test says. It stops well when it is asked to, unless `hangs`."""

    def __init__(self, number: int, pid: int) -> None:
        self.number = number
        self.pid = pid
        self.got: list[signal.Signals] = []
        self.hangs = False
        self._said: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._code: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def listens(self) -> None:
        self._said.set_result(f"listening in {self.number}\n")

    def ends(self, code: int) -> None:
        if not self._said.done():
            self._said.set_result("")
        if not self._code.done():
            self._code.set_result(code)

    async def listening(self) -> str:
        return await self._said

    async def wait(self) -> int:
        return await self._code

    def send(self, number: signal.Signals) -> None:
        self.got.append(number)
        if number == signal.SIGKILL:
            self.ends(-signal.SIGKILL)
        elif not self.hangs:
            self.ends(0 if self._said.done() else -signal.SIGTERM)


class Stage:
    """A parent of played processes, and all that it did."""

    def __init__(self, count: int, refusal: OSError | None = None) -> None:
        self.started: list[Played] = []
        self.said: list[str] = []
        self.pauses: list[float] = []
        self.closed = 0
        self.now = 0.0
        self.refusal = refusal
        self.parent = Parent(count, self._start, self.said.append, self._close, lambda: self.now, self._sleep)
        self.running = asyncio.create_task(self.parent.run())

    async def _start(self, number: int) -> Played:
        if self.refusal is not None:
            raise self.refusal
        self.started.append(Played(number, 1000 + len(self.started)))
        return self.started[-1]

    def _close(self) -> None:
        self.closed += 1

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not is_so():  # noqa: ASYNC110 - nothing here takes time
                await asyncio.sleep(0)

    async def started_numbers(self, *numbers: int) -> None:
        await self.until(lambda: [each.number for each in self.started] == [*numbers])

    async def all_listen(self, count: int) -> None:
        for number in range(count):
            await self.until(lambda number=number: len(self.started) > number)  # type: ignore[misc]
            self.started[number].listens()
        await quiet()


async def quiet() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def result(running: Awaitable[int]) -> int:
    async with asyncio.timeout(5):
        return await running


async def test_the_others_start_once_the_first_one_listens_and_only_that_is_said() -> None:
    stage = Stage(3)
    await stage.started_numbers(1)
    await quiet()
    assert len(stage.started) == 1
    stage.started[0].listens()
    await stage.started_numbers(1, 2, 3)
    stage.started[2].listens()
    stage.started[1].listens()
    await quiet()
    assert stage.said == ["listening in 1\n"]
    stage.parent.ask("SIGTERM")
    assert await result(stage.running) == 0


async def test_all_are_stopped_together_and_no_connection_is_taken_any_more() -> None:
    stage = Stage(2)
    await stage.all_listen(2)
    stage.started[0].hangs = True
    stage.parent.ask("SIGTERM")
    await quiet()
    assert [each.got for each in stage.started] == [[signal.SIGTERM], [signal.SIGTERM]]
    assert stage.closed == 1
    assert not stage.running.done(), "the first one needs its time"
    stage.started[0].ends(0)
    assert await result(stage.running) == 0
    assert stage.pauses == []


async def test_a_refused_start_is_said_once_and_its_exit_code_is_that_of_the_parent() -> None:
    stage = Stage(4)
    await stage.started_numbers(1)
    stage.started[0].ends(1)
    assert await result(stage.running) == 1
    assert len(stage.started) == 1
    assert stage.said == []


async def test_another_one_that_never_listened_ends_all() -> None:
    stage = Stage(2)
    await stage.started_numbers(1)
    stage.started[0].listens()
    await stage.started_numbers(1, 2)
    stage.started[1].ends(-signal.SIGSEGV)
    assert await result(stage.running) == 128 + signal.SIGSEGV
    assert stage.started[0].got == [signal.SIGTERM]


async def test_where_the_system_has_no_room_for_a_process_the_start_is_refused() -> None:
    stage = Stage(2, refusal=OSError(12, "Cannot allocate memory"))
    assert await result(stage.running) == 1


async def test_what_died_is_started_again_with_its_number_after_longer_and_longer_pauses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage(2)
    await stage.all_listen(2)
    for code in (-signal.SIGKILL, 1, 0):
        stage.started[-1].ends(code)
        number = len(stage.started)
        await stage.until(lambda number=number: len(stage.started) == number + 1)  # type: ignore[misc]
        assert stage.started[-1].number == 2
    stage.started[-1].listens()
    stage.now += LONG_ENOUGH
    stage.started[-1].ends(1)
    await stage.until(lambda: len(stage.started) == 6)
    assert stage.pauses == [1, 2, 4, 1]
    warnings = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert warnings[:2] == [
        "process 2 (pid 1001) was ended by SIGKILL; it is started again in 1 s",
        "process 2 (pid 1002) ended with exit code 1; it is started again in 2 s",
    ]
    assert stage.said == ["listening in 1\n"], "said once, never at a restart"
    stage.parent.ask("SIGTERM")
    assert await result(stage.running) == 0, "the last one was still loading"


async def test_a_start_that_fails_later_is_tried_again() -> None:
    stage = Stage(1)
    await stage.all_listen(1)
    stage.refusal = OSError(11, "Resource temporarily unavailable")
    stage.started[0].ends(1)
    await stage.until(lambda: len(stage.pauses) == 3)
    stage.refusal = None
    await stage.started_numbers(1, 1)
    stage.parent.ask("SIGTERM")
    assert await result(stage.running) == 0


async def test_a_process_that_cannot_be_started_during_the_stop_does_not_spoil_it() -> None:
    stage = Stage(1)

    async def stopped(_number: int) -> Played:
        stage.parent.ask("SIGTERM")
        raise OSError(9, "Bad file descriptor")

    stage.parent._start = stopped
    assert await result(stage.running) == 0


async def test_what_dies_during_the_stop_is_not_started_again_but_tells_in_the_exit_code(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = Stage(2)
    await stage.all_listen(2)
    for each in stage.started:
        each.hangs = True
    stage.parent.ask("SIGTERM")
    stage.started[0].ends(-signal.SIGKILL)
    stage.started[1].ends(0)
    assert await result(stage.running) == 128 + signal.SIGKILL
    assert len(stage.started) == 2
    assert "process 1 (pid 1000) was ended by SIGKILL while it stopped" in caplog.text


async def test_a_second_signal_kills_all() -> None:
    stage = Stage(2)
    await stage.all_listen(2)
    for each in stage.started:
        each.hangs = True
    stage.parent.ask("SIGINT")
    stage.parent.ask("SIGINT")
    assert await result(stage.running) == 1
    assert [each.got[-1] for each in stage.started] == [signal.SIGKILL, signal.SIGKILL]


async def test_a_stop_during_a_pause_or_before_anything_listens_is_a_good_one() -> None:
    stage = Stage(2)
    await stage.started_numbers(1)
    stage.parent.ask("SIGTERM")
    assert await result(stage.running) == 0
    assert len(stage.started) == 1
    paused = Stage(1)
    await paused.all_listen(1)
    paused.parent._sleep = lambda _: asyncio.sleep(60)
    paused.started[0].ends(1)
    await quiet()
    paused.parent.ask("SIGTERM")
    assert await result(paused.running) == 0


def test_pauses_grow_to_half_a_minute_and_begin_again_after_a_minute_of_running() -> None:
    pause, seen = 0.0, []
    for _ in range(7):
        pause = next_pause(pause, ran=5)
        seen.append(pause)
    assert seen == [1, 2, 4, 8, 16, 30, LONGEST_PAUSE]
    assert next_pause(30, ran=LONG_ENOUGH) == 1
