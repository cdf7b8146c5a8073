"""Reads a streamed list of references without blocking the event loop: a long one in a process of its own, to disk."""

import asyncio
import json
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import Any

from app.api.submission.expected import ExpectedHead, ExpectedRows, Kind, read_expected
from app.api.submission.reader import NICE, ReadingFailed, kill, started
from app.domain.jobs import Reference
from app.domain.mistakes import Mistake

MOST = 10_000_000
"""References of one list."""

MAX_BYTES = 2 * 1024**3
"""Bytes of one list: 214 for each of the most references that it may have."""

IN_MEMORY = 8 * 1024 * 1024
"""Bytes of rows that are kept in memory; with one more all go to a temporary file."""

MEMORY = 256 * 1024 * 1024
"""Bytes of address space that the process for a list may have."""

PATIENCE = 30
"""Seconds of CPU that the process may take for `expected.BLOCK` rows: what takes longer was made to take long."""

_PIECE = 256 * 1024
_WORKER = "from app.api.submission.expected_reader import read_from_stdin; read_from_stdin()"


class TooManyBytes(Exception):
    """The list has more than `MAX_BYTES`."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A list that was read. Close it: its rows may be in a temporary file."""

    head: ExpectedHead
    rows: "SpooledTemporaryFile[bytes]"

    def __iter__(self) -> Iterator[Reference]:
        self.rows.seek(0)
        for row in self.rows:
            version, _, id_ = row[:-1].decode().partition("\t")
            yield Reference(id_, int(version) if version else None)

    def close(self) -> None:
        self.rows.close()


class ExpectedReader:
    """Reads lists: short ones at once, each longer one in a process of its own, which cannot harm the service."""

    def __init__(self, *, inline: int = 64 * 1024, most: int = MOST, max_bytes: int = MAX_BYTES) -> None:
        """Lists up to `inline` bytes are read at once."""
        self._inline = inline
        self._most = most
        self._max_bytes = max_bytes
        self._running: set[asyncio.subprocess.Process] = set()

    async def read(self, pieces: AsyncIterator[bytes], kind: Kind) -> Expected:
        """Raises TooManyBytes, ReadingFailed (the process died, or there is no room for the rows), and what `pieces`
        raises."""
        rows: SpooledTemporaryFile[bytes] = SpooledTemporaryFile(IN_MEMORY, prefix="pas-list.")  # noqa: SIM115 # the list closes it
        try:
            return Expected(await self._read(pieces, kind, rows), rows)
        except BaseException as error:
            rows.close()
            if isinstance(error, OSError):
                raise ReadingFailed(f"there is no room for a list this long: {error.strerror}") from error
            raise

    async def _read(
        self, pieces: AsyncIterator[bytes], kind: Kind, rows: "SpooledTemporaryFile[bytes]"
    ) -> ExpectedHead:
        begin = bytearray()
        async for piece in pieces:
            begin += piece
            if len(begin) > self._inline:
                return await self._read_apart(bytes(begin), pieces, kind, rows)
        return read_expected(BytesIO(begin), kind, self._most, ExpectedRows(rows.write))

    async def _read_apart(
        self, begin: bytes, pieces: AsyncIterator[bytes], kind: Kind, rows: "SpooledTemporaryFile[bytes]"
    ) -> ExpectedHead:
        process = await started(_WORKER, kind, self._most, stderr=asyncio.subprocess.PIPE)
        self._running.add(process)
        work = [
            asyncio.create_task(each)
            for each in (_collect(process, rows), _head(process), _feed(process, begin, pieces, self._max_bytes))
        ]
        try:
            await asyncio.wait(work[:2])  # where it ends early, the rest of the body is of no interest
            head = work[1].result()
            if work[0].exception() is None and head is None:
                _raise_of(work[2])
                raise ReadingFailed(f"the process that read a list ended with {await process.wait()}")
            _raise_of(work[0])
            assert isinstance(head, ExpectedHead)  # noqa: S101 # see above
            if work[2].done() and not head.mistakes and not head.too_many:
                _raise_of(work[2])
            return head
        finally:
            for each in work:
                each.cancel()
            if process.returncode is None:
                kill(process)
            await asyncio.wait(work)
            await process.wait()
            self._running.discard(process)

    async def close(self) -> None:
        """Ends all readings; the callers get ReadingFailed."""
        for process in tuple(self._running):
            kill(process)


def _raise_of(work: "asyncio.Task[Any]") -> None:
    if work.done() and not work.cancelled() and (error := work.exception()) is not None:
        raise error


async def _feed(
    process: asyncio.subprocess.Process, begin: bytes, pieces: AsyncIterator[bytes], max_bytes: int
) -> None:
    """Gives the process the list. Where that fails the process ends without a result: it sees an end too early."""
    assert process.stdin is not None  # noqa: S101 # it is a pipe
    size = len(begin)
    try:
        process.stdin.write(begin)
        await process.stdin.drain()
        async for piece in pieces:
            size += len(piece)
            if size > max_bytes:
                raise TooManyBytes
            process.stdin.write(piece)
            await process.stdin.drain()
        process.stdin.close()
    except (BrokenPipeError, ConnectionResetError):
        pass  # it has read enough
    except BaseException:
        kill(process)  # what it has is not the whole list
        raise


async def _collect(process: asyncio.subprocess.Process, rows: "SpooledTemporaryFile[bytes]") -> None:
    assert process.stdout is not None  # noqa: S101 # it is a pipe
    try:
        while piece := await process.stdout.read(_PIECE):
            rows.write(piece)
    except BaseException:
        kill(process)
        raise


async def _head(process: asyncio.subprocess.Process) -> ExpectedHead | None:
    """What `read_from_stdin` wrote last; None where it did not come so far."""
    assert process.stderr is not None  # noqa: S101 # it is a pipe
    try:
        values: dict[str, Any] = json.loads(await process.stderr.read())
        values["mistakes"] = tuple(Mistake(*each) for each in values["mistakes"])
        return ExpectedHead(**values)
    except (ValueError, TypeError, KeyError):
        return None


def read_from_stdin() -> None:
    """The process for one list: bytes on stdin, rows on stdout, the head as JSON on stderr. Arguments: kind, most."""
    kind, most = sys.argv[1:3]
    os.nice(NICE)
    with suppress(OSError, ValueError):  # not every system has this limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    rows = ExpectedRows(sys.stdout.buffer.write, _more_time)
    _more_time()
    head = read_expected(sys.stdin.buffer, kind, int(most), rows)  # type: ignore[arg-type] # as it was given
    sys.stdout.buffer.flush()
    sys.stderr.write(json.dumps(asdict(head)))
    sys.stderr.flush()


def _more_time() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    with suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + PATIENCE, hard))
