"""Fetches the document of a task: attempts, pauses between them, and the decision to put the task back."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic
from uuid import UUID

from prometheus_client import Histogram

from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.artifacts import ArchiveTask, Document
from app.domain.errors import STEP_READ, NoArchiveData, PermanentFailure, TransientFailure, task_message
from app.sources.http import SourceClient
from app.sources.memory import HeldDocument, Lease
from app.sources.pacing import SLOT_PATIENCE, SourceBusy, backoff
from app.sources.patience import duration_text
from app.telemetry import metrics, traces

STOPPED = "its job was paused or ended meanwhile"

SPEAKS_FOR_OTHERS = 60.0
"""Seconds for which an attempt that could not reach the source holds for the other tasks of its job. While there is
work, attempts are at most 30 s apart."""

log = logging.getLogger(__name__)


StillWanted = Callable[[], Awaitable[bool]]
"""Whether a task that waited may still start: its job may be paused by now, or cancelled."""


class _NotWanted(Exception): ...


class PutBackTask(Exception):
    """The task must wait `seconds` before it asks its source again, for `reason`; `attempts` are those used up so far.

    `whole_source`: the pause holds for all records of the source, not only for this one.
    """

    def __init__(self, seconds: float, attempts: int, reason: str, *, whole_source: bool = False) -> None:
        super().__init__(f"not before {seconds:.1f} s, after {attempts} attempts: {reason}")
        self.seconds = seconds
        self.attempts = attempts
        self.reason = reason
        self.whole_source = whole_source


class Fetcher:
    """`retry_backoff`: seconds of the first pause after a transient failure.

    `patience`: seconds for which tasks wait for a source that cannot be reached.
    """

    def __init__(self, client: SourceClient, retry_backoff: float, patience: float) -> None:
        self._client = client
        self._retry_backoff = retry_backoff
        self._patience = patience
        self._in_vain: dict[UUID, float] = {}
        """When an attempt for a job last could not reach its source."""

    def document(
        self,
        configuration: ArchiveTypeConfiguration,
        task: ArchiveTask,
        parent: str,
        still_wanted: StillWanted,
    ) -> HeldDocument:
        """The document, fetched when the context is entered, and in memory until the block ends. `parent` is the
        `traceparent` of the task's work.

        Raises PermanentFailure, also when all attempts or the patience with the source are used up; NoArchiveData;
        PutBackTask for long waits, and when the task is no longer wanted once its turn has come. A failure that says
        nothing about the record (`TransientFailure.keeps_attempt`) leads to a wait and uses up no attempt.
        """
        return HeldDocument(partial(self._fetch, configuration, task, parent, still_wanted))

    async def _fetch(
        self, configuration: ArchiveTypeConfiguration, task: ArchiveTask, parent: str, still_wanted: StillWanted
    ) -> tuple[Document, Lease]:
        attempts, waits = task.attempts, 0
        while True:
            try:
                return await self._attempt(configuration, task, parent, still_wanted)
            except _NotWanted:
                raise PutBackTask(0, attempts, STOPPED) from None
            except SourceBusy as busy:
                if self._was_asked_in_vain(task.id.job_id):
                    self._end_of_patience(configuration)
                raise PutBackTask(busy.not_before_seconds, attempts, busy.reason, whole_source=True) from busy
            except TransientFailure as failure:
                cause, no_connection = failure.cause, failure.no_connection
                if no_connection:
                    self._note_in_vain(task.id.job_id)
                    self._end_of_patience(configuration)
                if failure.keeps_attempt:
                    waits += 1
                else:
                    attempts += 1
                    if attempts >= task.max_attempts:
                        times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
                        raise PermanentFailure(task_message(STEP_READ, f"{cause} ({times})")) from failure
                pause = backoff(waits if failure.keeps_attempt else attempts, self._retry_backoff, failure.retry_after)
            metrics.RETRIES.inc()
            if pause > SLOT_PATIENCE:
                raise PutBackTask(pause, attempts, cause, whole_source=no_connection)
            await asyncio.sleep(pause)

    def _note_in_vain(self, job_id: UUID) -> None:
        now = asyncio.get_running_loop().time()
        self._in_vain = {job: at for job, at in self._in_vain.items() if now - at <= SPEAKS_FOR_OTHERS}
        self._in_vain[job_id] = now

    def _was_asked_in_vain(self, job_id: UUID) -> bool:
        """Whether the source was just asked for this job, and not reached: what nobody asked for since the job came, or
        goes on, does not fail, as the source may be back."""
        asked = self._in_vain.get(job_id)
        return asked is not None and asyncio.get_running_loop().time() - asked <= SPEAKS_FOR_OTHERS

    def _end_of_patience(self, configuration: ArchiveTypeConfiguration) -> None:
        """Raises PermanentFailure when the source could not be reached, without interruption, for longer than the
        patience."""
        absence = self._client.absence(configuration)
        if absence is not None and absence.seconds >= self._patience:
            cause = f"{absence.cause} (unreachable for {duration_text(self._patience)})"
            raise PermanentFailure(task_message(STEP_READ, cause))

    async def _attempt(
        self, configuration: ArchiveTypeConfiguration, task: ArchiveTask, parent: str, still_wanted: StillWanted
    ) -> tuple[Document, Lease]:
        async def confirm() -> None:
            if not await still_wanted():
                raise _NotWanted

        started = monotonic()
        outcome: Histogram | None = metrics.FETCH_TRANSIENT
        with traces.start("fetch archive data", "client", parent) as span:
            try:
                held = await self._client.fetch(configuration, task.reference, span.traceparent, confirm)
                outcome = metrics.FETCH_OK
                return held
            except _NotWanted:
                outcome = None  # nothing was asked, and nothing is wrong
                raise
            except NoArchiveData:
                outcome = metrics.FETCH_NO_DATA
                raise
            except PermanentFailure:
                outcome = metrics.FETCH_PERMANENT
                raise
            finally:
                if outcome is not None:
                    outcome.observe(monotonic() - started)
