"""A server as a child process: start, wait until it answers, stop or kill, start again on the same data and ports."""

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, TypeVar

from tests.servers.host import alive, bound_to_us, children, new_data_dir, run_dir

T = TypeVar("T")

# The kernel sends the parent death signal when the *thread* that started the child ends, so one thread starts them all.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="server-starter")
_numbers = itertools.count(1)


class Running(Protocol):
    """What is used of `subprocess.Popen`."""

    returncode: int | None

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...


class ServerFailed(RuntimeError):
    """A server was there but did not start or stop; the message quotes the end of its log."""


class NotReady(Exception):
    """The server does not answer as it should yet."""


class ServerProcess:
    """Base of all servers; `with` starts it and at the end stops it and removes its data."""

    name: ClassVar[str]
    start_timeout: ClassVar[float] = 60
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    parent_death_signal: ClassVar[signal.Signals] = signal.SIGKILL
    user: str | None = None
    """Account to run as, when not ours."""

    def __init__(self) -> None:
        self.process: Running | None = None
        self.data: Path | None = None
        self.log = run_dir() / f"{self.name}-{next(_numbers)}.log"

    def prepare(self, data: Path) -> None:
        """Fetches the server, chooses ports and fills the fresh directory `data`; once, before the first start."""
        raise NotImplementedError

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return {}

    def check(self) -> None:
        """Raises OSError or NotReady while the server does not answer."""
        raise NotImplementedError

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> Self:
        """Starts the server, again on the data and the ports that it had, and waits until it answers."""
        if self.running:
            return self
        if self.data is None:
            data = new_data_dir(self.name)
            try:
                self.prepare(data)
            except BaseException:
                shutil.rmtree(data, ignore_errors=True)
                raise
            self.data = data
        self.process = _starter.submit(self._spawn).result()
        try:
            self._wait()
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self, timeout: float = 20) -> None:
        """Stops the server in good order; its data stays."""
        if self.process is None or not self.running:
            return
        self.process.send_signal(self.stop_signal)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerFailed(f"{self.name} did not stop within {timeout} s\n{self.log_tail()}") from None

    def kill(self) -> None:
        """Kills the server and its children at once (SIGKILL); its data stays."""
        if self.process is None or not self.running:
            return
        pids = [self.process.pid, *children(self.process.pid)]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        deadline = time.monotonic() + 5
        while any(alive(pid) for pid in pids[1:]) and time.monotonic() < deadline:
            time.sleep(0.01)

    def restart(self) -> Self:
        self.stop()
        return self.start()

    def close(self) -> None:
        """Stops the server and removes its data; its log stays."""
        try:
            self.stop()
        finally:
            if self.data is not None:
                shutil.rmtree(self.data, ignore_errors=True)
                self.data = None

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def log_tail(self, lines: int = 25) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return f"--- end of {self.log}:\n" + "\n".join(text.splitlines()[-lines:])

    def _spawn(self) -> Running:
        """Runs in the one thread that starts all."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*bound_to_us(self.parent_death_signal, self.user), *self.command()],
                cwd=self.data,
                env={**os.environ, **self.environment()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us, not for the server
            )

    def _wait(self) -> None:
        deadline = time.monotonic() + self.start_timeout
        while True:
            if self.process is None or self.process.poll() is not None:
                raise ServerFailed(f"{self.name} ended while starting\n{self.log_tail()}")
            try:
                return self.check()
            except (OSError, NotReady) as error:
                if time.monotonic() > deadline:
                    raise ServerFailed(
                        f"{self.name} did not answer within {self.start_timeout} s: {error}\n{self.log_tail()}"
                    ) from error
                time.sleep(0.02)


def run_sync(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end, also where an event loop already runs in this thread."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()
