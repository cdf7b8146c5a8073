"""Starts the processes of a parent: fresh interpreters with its command line, on its socket."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import app
from app.domain.errors import StartRefused
from app.process.address import bind, say
from app.process.member import OPTION, Member
from app.process.parent import Parent
from app.process.stop import on_stop_signals

LONGEST_PATH = 90
"""Bytes of the path of the directory for sockets: that of a socket in it has three more, and 100 are sure to work."""


async def serve_many(words: Sequence[str], count: int, host: str, port: int) -> int:
    """Runs `pas` with these words in several processes until a signal stops them; returns the exit code.

    Raises StartRefused.
    """
    with (
        bind(host, port) as listener,
        private_directory() as directory,
        ProcessStarter(words, count, listener, directory) as start,
    ):
        parent = Parent(count, start, say, listener.close)
        on_stop_signals(parent.ask)
        return await parent.run()


class ProcessStarter:
    """Called with a number, it starts that process. While it is open, the processes see that their parent lives."""

    def __init__(self, words: Sequence[str], count: int, listener: socket.socket, directory: Path) -> None:
        self._words = words
        self._count = count
        self._listener = listener
        self._directory = directory
        self._lifeline, self._held = os.pipe()

    def __enter__(self) -> "ProcessStarter":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._held)
        os.close(self._lifeline)

    async def __call__(self, number: int) -> "Started":
        """Raises OSError where the system has no room for a process."""
        report, its = os.pipe()
        try:
            member = Member(number, self._count, self._listener.fileno(), self._lifeline, its, self._directory)
            process = await asyncio.create_subprocess_exec(
                *command(self._words, member),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(member.listener, member.lifeline, member.report),
                start_new_session=True,  # Ctrl-C of a terminal is for the parent alone
            )
        except BaseException:
            os.close(report)
            raise
        finally:
            os.close(its)
        return Started(process, report)


class Started:
    """A process that was started, and the pipe on which it says that it listens."""

    def __init__(self, process: asyncio.subprocess.Process, report: int) -> None:
        self._process = process
        self._report = report

    @property
    def pid(self) -> int:
        return self._process.pid

    async def listening(self) -> str:
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(self._report, "rb", 0)
        )
        try:
            return (await reader.read()).decode()
        finally:
            transport.close()

    async def wait(self) -> int:
        return await self._process.wait()

    def send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)


def command(words: Sequence[str], member: Member) -> list[str]:
    """The command line of a process. It finds the package where this process found it, whatever the directory has."""
    here = Path(app.__file__).parents[1] == Path.cwd()
    return [sys.executable, *([] if here else ["-P"]), "-m", "app", *words, OPTION, str(member)]


@contextlib.contextmanager
def private_directory() -> Iterator[Path]:
    """A new directory with a short path, for this user only; removed at the end. Raises StartRefused."""
    try:
        base = tempfile.gettempdir()
        if len(os.fsencode(base)) > LONGEST_PATH - 25:
            base = "/tmp"  # noqa: S108 - a directory is made in it, which only we may enter
        opened = tempfile.TemporaryDirectory(prefix="pas-processes-", dir=base, ignore_cleanup_errors=True)
    except OSError as error:
        raise StartRefused(f"no directory for temporary files can be used: {error.strerror}") from error
    with opened as directory:
        yield Path(directory)
