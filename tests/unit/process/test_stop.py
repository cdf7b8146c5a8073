"""The stop of the service: while it starts, while it runs, and asked for twice."""

import asyncio
import os
import signal

import pytest

from app.process.stop import Stopping, on_stop_signals


class Started:
    """A service whose start takes until `go` is set. It runs until the stop."""

    def __init__(self, stop: Stopping) -> None:
        self.stop = stop
        self.go = asyncio.Event()
        self.done: list[str] = []

    async def run(self) -> None:
        try:
            await self.go.wait()
            self.stop.started(lambda: self.done.append("unready"))
            await self.stop.asked.wait()
            self.done.append("stopped")
        finally:
            self.done.append("closed")


async def test_a_stop_ends_the_start_in_good_order() -> None:
    stop = Stopping(hurries=True)
    service = Started(stop)
    running = asyncio.create_task(stop.run(service.run()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    stop.ask("SIGTERM")
    await asyncio.wait_for(running, 5)
    assert service.done == ["closed"]


async def test_a_stop_before_the_start_starts_nothing() -> None:
    stop = Stopping(hurries=True)
    service = Started(stop)
    stop.ask("SIGTERM")
    await stop.run(service.run())
    assert service.done == []


async def test_a_stop_cancels_nothing_once_it_started() -> None:
    stop = Stopping(hurries=True)
    service = Started(stop)
    service.go.set()
    running = asyncio.create_task(stop.run(service.run()))
    await asyncio.sleep(0.01)
    stop.ask("SIGTERM")
    await asyncio.wait_for(running, 5)
    assert service.done == ["unready", "stopped", "closed"]


async def test_what_breaks_the_start_is_raised_and_so_is_an_end_that_nobody_asked_for() -> None:
    async def breaks() -> None:
        raise OSError("broken")

    async def is_cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(OSError, match="broken"):
        await Stopping(hurries=True).run(breaks())
    with pytest.raises(asyncio.CancelledError):
        await Stopping(hurries=True).run(is_cancelled())


async def test_a_second_signal_ends_the_process_where_it_hurries() -> None:
    calm, hurried = Stopping(hurries=False), Stopping(hurries=True)
    for each in (calm, hurried):
        each.ask("SIGINT")
    calm.ask("SIGINT")
    with pytest.raises(SystemExit) as ended:
        hurried.ask("SIGINT")
    assert ended.value.code == 1


@pytest.mark.usefixtures("of_a_terminal")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_each_signal_of_a_stop_is_taken(number: signal.Signals) -> None:
    asked: asyncio.Queue[str] = asyncio.Queue()
    on_stop_signals(asked.put_nowait)
    try:
        os.kill(os.getpid(), number)
        assert await asyncio.wait_for(asked.get(), 5) == number.name
    finally:
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().remove_signal_handler(each)
