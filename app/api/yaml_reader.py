"""Reads the body of a submission without holding up the event loop: a large one in a process of its own."""

import asyncio
import os
import pickle
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import cast

from app.api.yaml_body import Parsed, parse_submission
from app.api.yaml_scalars import Mistake


class ReadingFailed(Exception):
    """The process that read a body died (out of memory, a crash): nothing is known about the body."""


class YamlReader:
    """Reads bodies without holding up the event loop: small ones at once, each large one in a process of its own.

    Not a pool: a process started for one body (0.1 s) can be killed when it takes too long or the request goes away,
    cannot break the next one, gives its memory back, and imports nothing of the service but this module.
    """

    def __init__(self, *, inline: int = 64 * 1024, processes: int = 2, timeout: float = 60.0) -> None:
        """Bodies up to `inline` bytes are read at once; `timeout` are the seconds one may take."""
        self._inline = inline
        self._timeout = timeout
        self._slots = asyncio.Semaphore(processes)
        self._running: set[asyncio.subprocess.Process] = set()
        self._closed = False

    async def read(self, body: bytes, max_references: int) -> Parsed:
        """As `parse_submission`; a body that takes too long is a mistake. Raises ReadingFailed."""
        if len(body) <= self._inline:
            return parse_submission(body, max_references)
        async with self._slots:
            if self._closed:
                raise ReadingFailed("the service is stopping")
            return await self._read_apart(body, max_references)

    async def _read_apart(self, body: bytes, max_references: int) -> Parsed:
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-c", _WORKER, str(max_references), str(len(body))),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ} | {"PYTHONPATH": _ROOT},
            )
        except OSError as error:
            raise ReadingFailed(f"no process can be started: {error.strerror}") from error
        self._running.add(process)
        try:
            answer, _ = await asyncio.wait_for(process.communicate(body), self._timeout)
        except TimeoutError:
            text = f"reading took longer than {self._timeout:g} s; split the job, and leave out what is not needed"
            return Parsed(mistakes=(Mistake("", None, text),))
        finally:
            self._running.discard(process)
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode or not answer:
            raise ReadingFailed(f"the process that read a body of {len(body)} bytes ended with {process.returncode}")
        return cast("Parsed", pickle.loads(answer))  # noqa: S301 - made by our own code from our own dataclasses

    async def close(self) -> None:
        """Ends what is being read; those who wait for it get ReadingFailed."""
        self._closed = True
        for process in tuple(self._running):
            with suppress(ProcessLookupError):  # it may just have ended
                process.kill()


_ROOT = str(Path(__file__).resolve().parents[2])
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "LANG")
"""All of the environment that the reading process gets: no secrets beside a parser of strangers' bytes."""
_WORKER = "from app.api.yaml_reader import read_from_stdin; read_from_stdin()"


def read_from_stdin() -> None:
    """The process of one body: bytes on stdin, a pickled Parsed on stdout. Arguments: max_references and size."""
    max_references, size = map(int, sys.argv[1:3])
    memory = 256 * 1024 * 1024 + 16 * size
    with suppress(OSError, ValueError):  # not every system has this limit
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    body = sys.stdin.buffer.read(size)
    if len(body) == size:
        pickle.dump(parse_submission(body, max_references), sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)
