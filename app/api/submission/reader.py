"""Reads the body of a submission without blocking the event loop: a large one in a process of its own."""

import asyncio
import json
import os
import resource
import sys
from array import array
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any, BinaryIO

from app import shipped
from app.api.submission.body import Parsed, parse_submission
from app.api.submission.scalars import ReferenceColumns
from app.domain.mistakes import Mistake


class ReadingFailed(Exception):
    """The process that read a body died (out of memory, a crash): nothing is known about the body."""


class YamlReader:
    """Reads bodies without blocking the event loop: small ones at once, each large one in a process of its own.

    Not a pool: a process started for one body (0.1 s) can be killed when it takes too long or the request ends, cannot
    break the next one, gives its memory back, and imports nothing of the service but this module.
    """

    def __init__(self, *, inline: int = 64 * 1024, processes: int = 2, timeout: float = 60.0) -> None:
        """Bodies up to `inline` bytes are read at once; `timeout` is the seconds that a body may take."""
        self._inline = inline
        self._timeout = timeout
        self._slots = asyncio.Semaphore(processes)
        self._turn = asyncio.Lock()
        self._running: set[asyncio.subprocess.Process] = set()
        self._closed = False

    async def read(self, body: bytearray, max_references: int, *, warn: bool = False) -> Parsed:
        """As `parse_submission`; a body that takes too long is a mistake. Raises ReadingFailed.

        `body` is emptied as soon as the process has it, so that a large body is not in memory twice for longer than
        needed.
        """
        if len(body) <= self._inline:
            async with self._turn:  # up to 40 ms each: the event loop turns between two of them
                await asyncio.sleep(0)
                return parse_submission(bytes(body), max_references, warn=warn)
        async with self._slots:
            if self._closed:
                raise ReadingFailed("the service is stopping")
            return await self._read_apart(body, max_references, warn=warn)

    async def _read_apart(self, body: bytearray, max_references: int, *, warn: bool) -> Parsed:
        process = await started(_WORKER, max_references, len(body), int(warn))
        self._running.add(process)
        size = len(body)
        try:
            async with asyncio.timeout(self._timeout):
                await _send(process, body)
                return await _received(process)
        except TimeoutError:
            text = f"reading took longer than {self._timeout:g} s; split the job, and leave out what is not needed"
            return Parsed(mistakes=(Mistake("", None, text),))
        except (OSError, RuntimeError, asyncio.IncompleteReadError, ValueError) as error:  # whatever a dead pipe is
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 1)
            raise ReadingFailed(
                f"the process that read a body of {size} bytes ended with {process.returncode}"
            ) from error
        finally:
            self._running.discard(process)
            if process.returncode is None:
                kill(process)
                await process.wait()

    async def close(self) -> None:
        """Ends all readings; the callers get ReadingFailed."""
        self._closed = True
        for process in tuple(self._running):
            kill(process)


async def started(
    worker: str, *arguments: object, stderr: int = asyncio.subprocess.DEVNULL
) -> asyncio.subprocess.Process:
    """A process that runs `worker`, a line of Python, with pipes. Raises ReadingFailed."""
    try:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-c", worker, *map(str, arguments)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            env=environment(),
        )
    except OSError as error:
        raise ReadingFailed(f"no process can be started: {error.strerror}") from error


def kill(process: asyncio.subprocess.Process) -> None:
    """Ends it at once; it may just have ended."""
    with suppress(ProcessLookupError):
        process.kill()


_PIECE = 256 * 1024
"""Bytes that go to the process, or come from it, at a time."""


async def _send(process: asyncio.subprocess.Process, body: bytearray) -> None:
    """Writes the body and empties it."""
    assert process.stdin is not None  # noqa: S101 # it is a pipe
    for begin in range(0, len(body), _PIECE):
        process.stdin.write(bytes(body[begin : begin + _PIECE]))
        await process.stdin.drain()
    body.clear()
    process.stdin.close()


async def _received(process: asyncio.subprocess.Process) -> Parsed:
    """The content that `_write` wrote.

    JSON and plain arrays: objects from a process that reads untrusted bytes cannot be trusted. Raises
    asyncio.IncompleteReadError, ValueError.
    """
    pipe = process.stdout
    assert pipe is not None  # noqa: S101 # it is a pipe
    head: dict[str, Any] = json.loads(await pipe.readexactly(int.from_bytes(await pipe.readexactly(4), "big")))
    count = head.pop("count")
    versions, lines = array("i"), array("I")
    for column in (versions, lines):
        rest = count * column.itemsize
        while rest:
            column.frombytes(await pipe.readexactly(size := min(rest, _PIECE)))
            rest -= size
    blocks = tuple([await pipe.readexactly(size) for size in head.pop("blocks")])
    keys = await pipe.readexactly(count * 16)
    hash_ = head.pop("content_hash")
    return Parsed(
        references=ReferenceColumns(blocks, versions, lines, keys),
        mistakes=tuple(Mistake(*each) for each in head.pop("mistakes")),
        warnings=tuple(Mistake(*each) for each in head.pop("warnings")),
        content_hash=None if hash_ is None else bytes.fromhex(hash_),
        **head,
    )


def _write(parsed: Parsed, pipe: BinaryIO) -> None:
    columns = parsed.references
    head = {each.name: getattr(parsed, each.name) for each in fields(Parsed) if each.name != "references"}
    head |= {
        "lines": dict(parsed.lines),
        "content_hash": None if parsed.content_hash is None else parsed.content_hash.hex(),
        "count": len(columns),
        "blocks": [len(block) for block in columns.blocks],
    }
    encoded = json.dumps(head).encode()
    for part in (len(encoded).to_bytes(4, "big"), encoded, columns.versions, columns.lines):
        pipe.write(part)
    for block in (*columns.blocks, columns.keys):
        pipe.write(block)
    pipe.flush()


NICE = 5
"""So much does the process stand back behind the service, whose event loop must not wait for it."""

_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "LANG")
"""All of the environment that the reading process gets: no secrets beside a parser of strangers' bytes."""
_WORKER = "from app.api.submission.reader import read_from_stdin; read_from_stdin()"


def environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return {**kept, "PYTHONPATH": shipped.IMPORTED_FROM}


def read_from_stdin() -> None:
    """The process for one body: bytes on stdin, the result on stdout. Arguments: max_references, size, warn."""
    max_references, size, warn = map(int, sys.argv[1:4])
    os.nice(NICE)
    memory = 256 * 1024 * 1024 + 4 * size
    with suppress(OSError, ValueError):  # not every system has this limit
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    body = sys.stdin.buffer.read(size)
    if len(body) < size:
        return
    parsed = parse_submission(body, max_references, warn=bool(warn))
    del body
    if parsed.too_many:  # nobody will look at the references then
        parsed = replace(parsed, references=ReferenceColumns())
    _write(parsed, sys.stdout.buffer)
