"""The worker process: receives documents through a pipe and works on one after the other."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from app.catalog.lanes import Lane, Later
from app.domain.archive_types import SchemaName

READY, BEGUN, MISMATCH, DONE, LATER, UNBUILT, FAILED = (
    "ready",
    "begun",
    "mismatch",
    "done",
    "later",
    "unbuilt",
    "failed",
)
"""Words of its answers, each with a value."""

STACK = 256 * 1024 * 1024
"""Bytes of stack: a schema of `schema_cost.MAX_CALLS` needs half of it, and what is not used takes no memory."""

GRACE = 20
"""Seconds beyond its deadline after which a check ends its process by itself: the service may be gone."""

Work = Callable[[Any, Callable[[], None]], Any]
"""(documents, on_mismatch) → a picklable answer; `on_mismatch()` says that a document does not match."""


@dataclass(frozen=True, slots=True)
class DocumentCheck:
    """Work for the worker: the check of one document."""

    document: bytes
    content_type: str
    schema: SchemaName
    lane: Lane

    def __call__(self, documents: Any, on_mismatch: Callable[[], None]) -> str | None:
        found: str | None = documents.problem(self.document, self.content_type, self.schema, self.lane, on_mismatch)
        return found


def serve(connection: Connection, make: Callable[[], Any]) -> None:
    """Works until the service has ended."""
    parent = os.getppid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the service decides when to stop
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    with contextlib.suppress(OSError):
        os.nice(5)  # the event loop of the service goes first
    threading.stack_size(STACK)
    thread = threading.Thread(target=_work, args=(connection, make))
    threading.stack_size(0)
    thread.start()
    thread.join()


def _end_with(parent: int) -> None:
    """Ends the worker when the service is killed."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _work(connection: Connection, make: Callable[[], Any]) -> None:
    try:
        documents = make()
    except Exception as error:
        connection.send((FAILED, f"{type(error).__name__}: {error}"))
        return
    connection.send((READY, None))
    with contextlib.suppress(EOFError, OSError):
        while True:
            _do(connection, documents, *connection.recv())


def _do(connection: Connection, documents: Any, work: Work, schema: SchemaName | None, deadline: float | None) -> None:
    if schema is not None:
        try:
            documents.prepare(schema)
        except Exception as error:
            connection.send((UNBUILT, f"{type(error).__name__}: {error}"))
            return
    connection.send((BEGUN, None))
    if deadline is not None:
        signal.alarm(int(deadline) + GRACE)
    try:
        answer = (DONE, work(documents, lambda: connection.send((MISMATCH, None))))
    except Later as later:
        answer = (LATER, later.lane)
    except Exception as error:
        answer = (FAILED, f"{type(error).__name__}: {error}")
    finally:
        signal.alarm(0)
    connection.send(answer)
