"""Checks of large documents in a process of their own.

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
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from app.domain.archive_types import SchemaName

Check = Callable[[bytes, str, SchemaName], str | None]
"""(document, content type, schema) → message of the failure, None for a valid document."""

_check: Check | None = None
"""Of the worker process only."""


class LargeChecks:
    """One worker process, started with the first large document; `make` builds its check there (picklable)."""

    def __init__(self, make: Callable[[], Check]) -> None:
        self._make = make
        self._pool: ProcessPoolExecutor | None = None

    async def problem(self, document: bytes, content_type: str, schema: SchemaName) -> str | None:
        """As `Check`. A worker that was killed is replaced once; raises BrokenProcessPool where that does not help."""
        for last in (False, True):
            pool = self._pool = self._pool or self._open()
            try:
                return await asyncio.get_running_loop().run_in_executor(pool, _run, document, content_type, schema)
            except BrokenProcessPool:
                if self._pool is pool:
                    self._pool = None
                if last:
                    raise
        return None

    def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def _open(self) -> ProcessPoolExecutor:
        # spawn: forking a process with threads and an event loop is not safe
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, context, initializer=_start, initargs=(self._make, os.getpid()))


def _start(make: Callable[[], Check], parent: int) -> None:
    global _check
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the service decides when to stop
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    with contextlib.suppress(OSError):
        os.nice(5)  # the event loop of the service goes first
    _check = make()


def _end_with(parent: int) -> None:
    """A service that is killed leaves no worker behind."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _run(document: bytes, content_type: str, schema: SchemaName) -> str | None:
    assert _check is not None  # noqa: S101 - set by the initializer
    return _check(document, content_type, schema)
