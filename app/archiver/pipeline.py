"""What becomes of one command: resolve → fetch → check → describe → store → note → announce → record."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.archiver.announce import EventOptions, announce
from app.archiver.describe import Target, bucket_of, describe
from app.archiver.fetch import Fetcher, PutBackTask
from app.archiver.outages import through_outages
from app.archiver.records import Records
from app.archiver.resolve import resolve
from app.archiver.schema_files import SchemaFiles
from app.archiver.store import store
from app.broker import Broker
from app.catalog.archive_types import Catalog
from app.catalog.registry import Registry
from app.db.tasks import NoData, Outcome, PutBack, Settlement
from app.domain.artifacts import ArchiveTask, StoredArtifact
from app.domain.errors import NoArchiveData, PermanentFailure
from app.domain.jobs import TaskState
from app.domain.readiness import OBJECT_STORE, Readiness
from app.objectstore import ObjectStore
from app.telemetry import metrics, traces

LATE_FAILURE_PAUSE = timedelta(seconds=60)
"""A task that failed after its object was noted can only succeed; until it is tried again something may be mended."""

HASH_IN_THREAD = 256 * 1024
"""Bytes above which a document is hashed beside the event loop (0.2 ms for these)."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ArchiverOptions:
    """`events` is None where archived artifacts are not announced; `locks` says whether objects are locked."""

    target: Target
    locks: bool
    events: EventOptions | None


class Archiver:
    """The steps of a task in their order, and the one answer that they end in."""

    def __init__(
        self,
        options: ArchiverOptions,
        catalog: Catalog,
        registry: Registry,
        fetcher: Fetcher,
        objects: ObjectStore,
        broker: Broker,
        records: Records,
        readiness: Readiness,
    ) -> None:
        self._options = options
        self._catalog = catalog
        self._registry = registry
        self._fetcher = fetcher
        self._objects = objects
        self._broker = broker
        self._records = records
        self._readiness = readiness
        self._schema_files = SchemaFiles(objects)

    async def archive(self, task: ArchiveTask) -> None:
        """Returns once the answer is recorded. Safe to repeat, and to cancel: then the task is put back."""
        with (
            traces.start("process CreateArtifactCommand", "consumer", task.traceparent) as span,
            metrics.TASKS_IN_FLIGHT.track_inprogress(),
        ):
            try:
                settlement = await self._settlement_of(task, span)
            except asyncio.CancelledError:
                await self._records.settle(PutBack(task.id, datetime.now(UTC), task.attempts))
                raise
            changed = await self._records.settle(settlement)
            if not changed and isinstance(settlement, Outcome) and settlement.state is TaskState.FAILED:
                # Too late to fail: if it is open still, an object is stored, and only its announcement is missing.
                late = PutBack(task.id, datetime.now(UTC) + LATE_FAILURE_PAUSE, task.attempts)
                if changed := await self._records.settle(late):
                    log.error("stored, but not announced: %s", settlement.message, extra=_about(task, span))
                settlement = late
            self._report(task, settlement, span, changed)

    async def _settlement_of(self, task: ArchiveTask, span: traces.Span) -> Settlement:
        try:
            if await self._archive(task, span):
                return Outcome(task.id, TaskState.SUCCEEDED)
            return PutBack(task.id, datetime.now(UTC), task.attempts)  # another try noted an object meanwhile
        except NoArchiveData:
            return NoData(task.id, span.trace_id)
        except PermanentFailure as failure:
            span.record_error(failure.message)
            return Outcome(task.id, TaskState.FAILED, failure.message, span.trace_id)
        except PutBackTask as later:
            not_before = datetime.now(UTC) + timedelta(seconds=later.seconds)
            return PutBack(task.id, not_before, later.attempts, hold_job=True)
        except Exception as error:
            log.exception("unexpected error", extra=_about(task, span))
            span.record_error(error)
            message = f"Internal error: {type(error).__name__}; the log has it under the trace id"
            return Outcome(task.id, TaskState.FAILED, message, span.trace_id)

    async def _archive(self, task: ArchiveTask, span: traces.Span) -> bool:
        """True once the artifact is stored, noted and announced."""
        stored = task.stored
        if stored is None:
            stored = await self._store(task, span)
            if not await self._records.note(task.id, stored):
                return False
        if self._options.events is not None:
            await announce(self._broker, self._readiness, self._options.events, stored, task, span.traceparent)
        return True

    async def _store(self, task: ArchiveTask, span: traces.Span) -> StoredArtifact:
        configuration = resolve(self._catalog, task.message, task.config_id, task.reference)
        async with self._fetcher.document(configuration, task, span.traceparent) as document:
            await self._registry.check_async(document.content, document.content_type, document.schema)
            data_type = self._registry.find(document.schema)
            assert data_type is not None  # noqa: S101 # an unknown schema does not pass the check
            bucket = bucket_of(document, self._options.target)
            with traces.start("store artifact", "client", span.traceparent):
                schema_version_id = await through_outages(
                    self._readiness, OBJECT_STORE, lambda: self._schema_files.ensure(bucket, data_type)
                )
                target = self._options.target
                if len(document.content) > HASH_IN_THREAD:
                    artifact = await asyncio.to_thread(describe, document, task, data_type, target, schema_version_id)
                else:
                    artifact = describe(document, task, data_type, target, schema_version_id)
                return await through_outages(
                    self._readiness,
                    OBJECT_STORE,
                    lambda: store(self._objects, artifact, task, locks=self._options.locks),
                )

    def _report(self, task: ArchiveTask, settlement: Settlement, span: traces.Span, changed: bool) -> None:
        """One log line and one count for what became of the task."""
        about = _about(task, span)
        if not changed:
            log.info("the task was settled by another try", extra=about)
            return
        match settlement:
            case Outcome(state=TaskState.SUCCEEDED):
                metrics.TASKS_SUCCEEDED.inc()
                log.info("archived", extra=about)
            case Outcome(message=message):
                metrics.TASKS_FAILED.inc()
                log.warning("not archived: %s", message, extra=about)
            case NoData():
                metrics.TASKS_NO_DATA.inc()
                log.warning("the source has no archive data, the task stays open", extra=about)
            case PutBack(not_before=not_before):
                metrics.TASKS_PUT_BACK.inc()
                log.info("put back until %s", not_before.isoformat(timespec="seconds"), extra=about)


def _about(task: ArchiveTask, span: traces.Span) -> dict[str, object]:
    return {
        "job_id": str(task.id.job_id),
        "reference": task.reference.id,
        "version": task.reference.version,
        "trace_id": span.trace_id,
    }
