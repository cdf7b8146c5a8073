"""Checks documents and extracts their metadata in worker processes.

Parsing and checking JSON hold the interpreter lock: 8 MB take 0.3 s, 32 MiB 1.3 s (measured), during which nothing else
runs in the process, also when a thread does it. And a check that jsonschema-rs has begun can only be interrupted by
ending its process.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, Protocol, TypeVar

from app.catalog.lanes import Lane, Later
from app.catalog.worker import BEGUN, DONE, FAILED, LATER, MISMATCH, READY, UNBUILT, DocumentCheck, Work, serve
from app.domain.archive_types import SchemaName
from app.domain.extraction import KeyedPath, MetadataValue

T = TypeVar("T")

DEADLINE = 10.0
"""Seconds that a check may take from when it has begun (contract, section 5)."""

START = 60.0
"""Seconds for a worker to come up: it imports the service, and machines can be busy."""

PAUSE = 30.0
"""Seconds until a worker that could not be started is tried again."""

TRIES = 2
"""A worker may be killed by something else than its document."""

log = logging.getLogger(__name__)


class Documents(Protocol):
    """The operations of a worker on documents; `Registry` implements them."""

    def prepare(self, schema: SchemaName) -> None: ...

    def problem(
        self,
        document: bytes,
        content_type: str,
        schema: SchemaName,
        where: Lane | None = ...,
        on_mismatch: Callable[[], None] | None = ...,
    ) -> str | None: ...

    def metadata(
        self, document: bytes, content_type: str, schema: SchemaName, paths: Sequence[KeyedPath], *, checked: bool
    ) -> dict[str, MetadataValue]: ...


class NoWorkerError(Exception):
    """No worker can be started at present; the log has the cause."""


class NotBuiltError(Exception):
    """The worker cannot use the schema; the text says why."""


class NotCheckedError(Exception):
    """The check was stopped, or it ended its process; the text says which of the two.

    `is_mismatch`: it is certain that the document does not match.
    """

    def __init__(self, reason: str, *, is_mismatch: bool) -> None:
        super().__init__(reason)
        self.is_mismatch = is_mismatch


class LargeDocuments:
    """A worker process for each lane, started with its first document; `make` builds there what it works with
    (picklable). A worker does one thing at a time, the others wait.

    Everything raises NoWorkerError, NotBuiltError, NotCheckedError; what does not belong into its lane raises Later.
    """

    def __init__(self, make: Callable[[], Documents], deadline: float = DEADLINE) -> None:
        self._lanes = {lane: _Line(lane, make) for lane in Lane}
        self._deadline = deadline

    async def problem(
        self, document: bytes, content_type: str, schema: SchemaName, lane: Lane = Lane.LARGE, more: float = 0
    ) -> str | None:
        """`more` seconds than the deadline are for a check that takes time in proportion to the document only."""
        work = DocumentCheck(document, content_type, schema, lane)
        found: str | None = await self._lanes[lane].run(work, schema, self._deadline + more)
        return found

    async def metadata(
        self, document: bytes, content_type: str, schema: SchemaName, paths: Sequence[KeyedPath], *, checked: bool
    ) -> dict[str, MetadataValue]:
        work = _Extraction(document, content_type, schema, tuple(paths), checked)
        found: dict[str, MetadataValue] = await self._lanes[Lane.LARGE].run(work, None, None)
        return found

    def close(self) -> None:
        for line in self._lanes.values():
            line.close()


@dataclass(frozen=True, slots=True)
class _Extraction:
    """Work that goes to a worker: the values at the paths of a document."""

    document: bytes
    content_type: str
    schema: SchemaName
    paths: Sequence[KeyedPath]
    checked: bool

    def __call__(self, documents: Documents, _on_mismatch: Callable[[], None]) -> dict[str, MetadataValue]:
        return documents.metadata(self.document, self.content_type, self.schema, self.paths, checked=self.checked)


class _Line:
    """One worker and the thread that talks to it; requests wait in the queue of the thread."""

    def __init__(self, lane: Lane, make: Callable[[], Documents]) -> None:
        self._lane = lane
        self._make = make
        self._thread: ThreadPoolExecutor | None = None
        self._worker: _Worker | None = None
        self._not_before = 0.0
        self._unbuilt: set[SchemaName] = set()
        self._closed = False

    async def run(self, work: Work, schema: SchemaName | None, deadline: float | None) -> Any:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, f"documents-{self._lane}")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._do, work, schema, deadline)

    def _do(self, work: Work, schema: SchemaName | None, deadline: float | None) -> Any:
        for left in reversed(range(TRIES)):
            worker = self._started()
            try:
                return worker.do(work, schema, deadline)
            except NotBuiltError as error:
                if schema is not None and schema not in self._unbuilt:
                    self._unbuilt.add(schema)
                    log.error("the process that checks documents cannot use schema %s: %s", schema, error)
                raise
            except TimeoutError:
                self._drop()
                seconds = f"{deadline or START:g}s"
                log.warning("the check of a document was ended after %s: schema %s", seconds, schema)
                raise NotCheckedError(
                    f"checking the document takes longer than {seconds}", is_mismatch=worker.found_mismatch
                ) from None
            except (EOFError, OSError) as error:
                is_mismatch = worker.found_mismatch
                self._drop()
                if not left:
                    reason = "checking the document ended the process that does it"
                    raise NotCheckedError(reason, is_mismatch=is_mismatch) from error
        raise AssertionError

    def _started(self) -> "_Worker":
        if self._closed:
            raise NoWorkerError("the service stops")
        if self._worker is None:
            if time.monotonic() < self._not_before:
                raise NoWorkerError
            try:
                self._worker = _Worker(self._make)
            except Exception as error:
                self._not_before = time.monotonic() + PAUSE
                log.error(
                    "the process that checks %s documents does not start, it is tried again in %.0f s: %s: %s",
                    self._lane,
                    PAUSE,
                    type(error).__name__,
                    error,
                )
                raise NoWorkerError from error
        return self._worker

    def _drop(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.kill()

    def close(self) -> None:
        self._closed = True
        if self._worker is not None:
            self._worker.stop()
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)


class _Worker:
    """A process that has started; raises EOFError, OSError or TimeoutError when it did not start."""

    def __init__(self, make: Callable[[], Documents]) -> None:
        # spawn: forking a process with threads and an event loop is not safe
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, make), daemon=True)
        self.found_mismatch = False
        try:
            self._process.start()
            theirs.close()
            word, cause = self._answer(START)
        except EOFError:
            self._process.join(5)
            code = self._process.exitcode
            self.kill()
            raise EOFError(f"it ended while it started (exit code {code})") from None
        except BaseException:
            self.kill()
            raise
        if word == FAILED:
            self.kill()
            raise RuntimeError(cause)
        assert word == READY  # noqa: S101 - there is nothing else

    def do(self, work: Work, schema: SchemaName | None, deadline: float | None) -> Any:
        self.found_mismatch = False
        self._connection.send((work, schema, deadline))
        word, found = self._answer(START)  # the schema may have to be built
        if word == UNBUILT:
            raise NotBuiltError(found)
        assert word == BEGUN  # noqa: S101
        until = None if deadline is None else time.monotonic() + deadline
        while True:
            word, found = self._answer(None if until is None else max(until - time.monotonic(), 0))
            if word == DONE:
                return found
            if word == LATER:
                raise Later(found)
            if word == FAILED:
                raise RuntimeError(found)
            self.found_mismatch = self.found_mismatch or word == MISMATCH

    def _answer(self, seconds: float | None) -> tuple[str, Any]:
        if not self._connection.poll(seconds):
            raise TimeoutError(f"no answer within {seconds:g} s")
        answer: tuple[str, Any] = self._connection.recv()
        return answer

    def stop(self) -> None:
        """Ends the process; callers that wait for an answer get an EOFError."""
        if self._process.pid is not None:
            self._process.kill()
            self._process.join(5)

    def kill(self) -> None:
        self.stop()
        self._connection.close()
