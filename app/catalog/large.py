"""Work on large documents in a process of its own: their check, and the extraction of their metadata.

Parsing and checking JSON hold the interpreter lock: 8 MB take 0.3 s, 32 MiB 1.3 s (measured), during which nothing
else runs in the process, whether a thread does it or not.
"""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Protocol, TypeVar

from app.domain.archive_types import SchemaName
from app.domain.extraction import KeyedPath, MetadataValue

T = TypeVar("T")


class Documents(Protocol):
    """What a worker does with documents; `Registry` does it."""

    def problem(self, document: bytes, content_type: str, schema: SchemaName) -> str | None: ...

    def metadata(
        self, document: bytes, content_type: str, schema: SchemaName, paths: Sequence[KeyedPath], *, checked: bool
    ) -> dict[str, MetadataValue]: ...


_documents: Documents | None = None
"""Of the worker process only."""


class LargeDocuments:
    """One worker process, started with the first large document; `make` builds there what it works with (picklable).

    A worker that was killed is replaced once; everything raises BrokenProcessPool where that does not help.
    """

    def __init__(self, make: Callable[[], Documents]) -> None:
        self._make = make
        self._pool: ProcessPoolExecutor | None = None

    async def problem(self, document: bytes, content_type: str, schema: SchemaName) -> str | None:
        return await self._run(partial(_problem, document, content_type, schema))

    async def metadata(
        self, document: bytes, content_type: str, schema: SchemaName, paths: Sequence[KeyedPath], *, checked: bool
    ) -> dict[str, MetadataValue]:
        return await self._run(partial(_metadata, document, content_type, schema, tuple(paths), checked))

    async def _run(self, work: Callable[[], T]) -> T:
        for last in (False, True):
            pool = self._pool = self._pool or self._open()
            try:
                return await asyncio.get_running_loop().run_in_executor(pool, work)
            except BrokenProcessPool:
                if self._pool is pool:
                    self._pool = None
                if last:
                    raise
        raise AssertionError("the second try returns or raises")

    def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def _open(self) -> ProcessPoolExecutor:
        # spawn: forking a process with threads and an event loop is not safe
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, context, initializer=_start, initargs=(self._make, os.getpid()))


def _start(make: Callable[[], Documents], parent: int) -> None:
    global _documents
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the service decides when to stop
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    with contextlib.suppress(OSError):
        os.nice(5)  # the event loop of the service goes first
    _documents = make()


def _end_with(parent: int) -> None:
    """A service that is killed leaves no worker behind."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _problem(document: bytes, content_type: str, schema: SchemaName) -> str | None:
    assert _documents is not None  # noqa: S101 - set by the initializer
    return _documents.problem(document, content_type, schema)


def _metadata(
    document: bytes, content_type: str, schema: SchemaName, paths: Sequence[KeyedPath], checked: bool
) -> dict[str, MetadataValue]:
    assert _documents is not None  # noqa: S101 - set by the initializer
    return _documents.metadata(document, content_type, schema, paths, checked=checked)
