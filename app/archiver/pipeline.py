"""Archives the document of one command: resolve → fetch → check → describe → store → note → announce → record."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Protocol

from app.archiver.announce import EventOptions, announce
from app.archiver.describe import Target, bucket_of, describe
from app.archiver.fetch import Fetcher, PutBackTask, StillWanted
from app.archiver.payload import Payloads
from app.archiver.records import Records
from app.archiver.resolve import config_id_of, resolve
from app.archiver.schema_files import SchemaFiles
from app.archiver.store import store
from app.broker import Broker
from app.catalog.live import LiveCatalog
from app.catalog.registry import Registry
from app.domain.archive_types import archive_type_name
from app.domain.artifacts import ArchivedArtifact, ArchiveTask, Artifact, Document, StoredArtifact, StoredObject
from app.domain.definitions import Definition
from app.domain.errors import NoArchiveData, PermanentFailure
from app.domain.extraction import MetadataValue
from app.domain.jobs import TaskState
from app.domain.readiness import OBJECT_STORE, Readiness
from app.domain.tasks import NoData, Outcome, PutBack, Settlement
from app.objectstore import ObjectStore
from app.outages import through_outages
from app.sources.memory import HeldDocument
from app.telemetry import metrics, traces

LATE_FAILURE_PAUSE = timedelta(seconds=60)
"""Pause of a task that failed after its object was noted. Such a task can only succeed; the pause leaves time for a
repair."""

HASH_IN_THREAD = 256 * 1024
"""Bytes above which a document is hashed in a thread beside the event loop (0.2 ms for this size)."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ArchiverOptions:
    """`events` is None when archived artifacts are not announced; `locks` says whether objects are locked."""

    target: Target
    locks: bool
    events: EventOptions | None


Values = Mapping[str, MetadataValue]


class Metadata(Protocol):
    """The extraction of metadata from artifacts, with the definition in force."""

    def definition_of(self, archive_type: str) -> Definition: ...

    async def values(self, document: Document, definition: Definition) -> Values:
        """The values of a document in memory. Never fails."""

    async def stored_values(self, stored: StoredObject, definition: Definition) -> Values | None:
        """The values of a stored object; None when the object cannot be read. Waits through outages."""


@dataclass(frozen=True, slots=True)
class ArchiverParts:
    """What the steps of a task need of the process."""

    catalog: LiveCatalog
    registry: Registry
    fetcher: Fetcher
    payloads: Payloads
    objects: ObjectStore
    broker: Broker
    records: Records
    readiness: Readiness
    metadata: Metadata


class Archiver:
    """The steps of a task in their order, and the one answer that they end with."""

    def __init__(self, options: ArchiverOptions, parts: ArchiverParts) -> None:
        self._options = options
        self._catalog = parts.catalog
        self._registry = parts.registry
        self._fetcher = parts.fetcher
        self._payloads = parts.payloads
        self._objects = parts.objects
        self._broker = parts.broker
        self._records = parts.records
        self._readiness = parts.readiness
        self._metadata = parts.metadata
        self._schema_files = SchemaFiles(parts.objects)

    async def archive(self, task: ArchiveTask, on_stored: Callable[[], None], still_wanted: StillWanted) -> None:
        """Returns once the answer is recorded. May be repeated, and cancelled: then the task is put back.

        `still_wanted` is called just before the source is asked, maybe after a wait; when it returns False the task is
        put back. `on_stored` is called once the task needs neither the source nor the store any more.
        """
        about = {"pas.job_id": str(task.id.job_id), "pas.reference": task.reference.id}
        name = "process CreateArtifactCommand"
        with (
            traces.start(name, "consumer", task.traceparent, about, trace_id=task.trace_id) as span,
            metrics.TASKS_IN_FLIGHT.track_inprogress(),
        ):
            try:
                settlement = await self._settlement_of(task, span, on_stored, still_wanted)
                on_stored()
            except asyncio.CancelledError:
                await self._records.settle(PutBack(task.id, datetime.now(UTC), task.attempts))
                raise
            settlement, changed = await self._settle(settlement, task, span)
            if not changed and isinstance(settlement, Outcome) and settlement.state is TaskState.FAILED:
                # Too late to fail: if it is open still, an object is stored, and only its announcement is missing.
                again = datetime.now(UTC) + LATE_FAILURE_PAUSE
                late = PutBack(task.id, again, task.attempts, reason="stored, but not announced")
                if changed := await self._records.settle(late):
                    log.error("stored, but not announced: %s", settlement.message, extra=_about(task, span))
                settlement = late
            self._report(task, settlement, span, changed)

    async def _settle(self, settlement: Settlement, task: ArchiveTask, span: traces.Span) -> tuple[Settlement, bool]:
        """The answer that was recorded, and whether it changed anything.

        When an answer cannot be written, a simpler one is recorded: no content of a document may keep its task open and
        its partition waiting.
        """
        try:
            return settlement, await self._records.settle(settlement)
        except Exception as error:
            log.exception("an answer cannot be recorded", extra=_about(task, span))
            plainer = _without_what_may_not_fit(settlement, error, span)
        return plainer, await self._records.settle(plainer)

    async def _settlement_of(
        self, task: ArchiveTask, span: traces.Span, on_stored: Callable[[], None], still_wanted: StillWanted
    ) -> Settlement:
        try:
            archived = await self._archive(task, span, on_stored, still_wanted)
            if archived is not None:
                return Outcome(task.id, TaskState.SUCCEEDED, archived=archived)
            return PutBack(task.id, datetime.now(UTC), task.attempts, reason="another try noted an object meanwhile")
        except NoArchiveData:
            return NoData(task.id, span.trace_id)
        except PermanentFailure as failure:
            span.record_error(failure.message)
            return Outcome(task.id, TaskState.FAILED, failure.message, span.trace_id)
        except PutBackTask as later:
            not_before = datetime.now(UTC) + timedelta(seconds=later.seconds)
            return PutBack(task.id, not_before, later.attempts, hold_job=later.whole_source, reason=later.reason)
        except Exception as error:
            log.exception("unexpected error", extra=_about(task, span))
            span.record_error(error)
            return Outcome(task.id, TaskState.FAILED, _unexpected(error), span.trace_id)

    async def _archive(
        self, task: ArchiveTask, span: traces.Span, on_stored: Callable[[], None], still_wanted: StillWanted
    ) -> ArchivedArtifact | None:
        """The artifact once it is stored, noted and announced; None when another attempt noted an object before."""
        config_id = config_id_of(self._catalog.now, task.message, task.config_id)
        definition = self._metadata.definition_of(archive_type_name(task.message, config_id))
        stored, values = task.stored, None
        if stored is None:
            stored, values = await self._store(task, span, definition, still_wanted)
            on_stored()
            if not await self._records.note(task.id, stored):
                return None
        if self._options.events is not None and (task.origin is None or task.origin.announced):
            await announce(self._broker, self._readiness, self._options.events, stored, task, span.traceparent)
        if values is None:
            values = await self._metadata.stored_values(stored.object, definition)
        # Without values the artifact is of no revision: the next run reads it again.
        revision, values = (0, {}) if values is None else (definition.revision, values)
        return ArchivedArtifact(stored, task.id.job_id, task.reference, task.message, config_id, revision, values)

    async def _store(
        self, task: ArchiveTask, span: traces.Span, definition: Definition, still_wanted: StillWanted
    ) -> tuple[StoredArtifact, Values | None]:
        """The place of the object, and its metadata values.

        The values are None when the object found in the store has other content than the document in memory.
        """
        async with self._document(task, span, still_wanted) as document:
            await self._registry.check_async(document.content, document.content_type, document.schema)
            values = await self._metadata.values(document, definition)
            with traces.start("store artifact", "client", span.traceparent):
                artifact = await self._describe(document, task)
                locks, tries = self._options.locks, count()
                stored = await through_outages(
                    self._readiness,
                    OBJECT_STORE,
                    lambda: store(self._objects, artifact, task, locks=locks, again=next(tries) > 0),
                )
        return stored, values if stored.sha256 == artifact.sha256 else None

    def _document(self, task: ArchiveTask, span: traces.Span, still_wanted: StillWanted) -> HeldDocument:
        """The document of the task, from its source or from its message. A document that was in a message needs no
        configuration any more."""
        origin = task.origin
        if origin is not None and origin.payload is not None:
            return self._payloads.document(task, origin, origin.payload, still_wanted)
        configuration = resolve(self._catalog.now, task.message, task.config_id, task.reference)
        return self._fetcher.document(configuration, task, span.traceparent, still_wanted)

    async def _describe(self, document: Document, task: ArchiveTask) -> Artifact:
        """The artifact of a checked document; its schema is stored beside it first."""
        data_type = self._registry.find(document.schema)
        assert data_type is not None  # noqa: S101 # an unknown schema does not pass the check
        target = self._options.target
        bucket = bucket_of(document, target)
        schema_version_id = self._schema_files.known(bucket, data_type)
        if schema_version_id is None:
            schema_version_id = await through_outages(
                self._readiness, OBJECT_STORE, lambda: self._schema_files.ensure(bucket, data_type)
            )
        if len(document.content) > HASH_IN_THREAD:
            return await asyncio.to_thread(describe, document, task, data_type, target, schema_version_id)
        return describe(document, task, data_type, target, schema_version_id)

    def _report(self, task: ArchiveTask, settlement: Settlement, span: traces.Span, changed: bool) -> None:
        """Writes one log line, and counts once, for the outcome of the task."""
        about = _about(task, span)
        if not changed:
            log.info("the task has its outcome already, by another try or a cancel", extra=about)
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
            case PutBack(not_before=not_before, reason=reason, hold_job=hold_job):
                metrics.TASKS_PUT_BACK.inc()
                until = not_before.isoformat(timespec="seconds")
                level = logging.DEBUG if hold_job else logging.INFO  # an outage is logged once: sources/outages.py
                log.log(level, "put back until %s: %s", until, reason, extra=about)


def _without_what_may_not_fit(settlement: Settlement, error: Exception, span: traces.Span) -> Settlement:
    """The artifact without metadata values: it then belongs to no revision, and the next metadata run reads it."""
    match settlement:
        case Outcome(state=TaskState.SUCCEEDED, archived=ArchivedArtifact() as archived):
            return replace(settlement, archived=replace(archived, revision=0, values={}))
        case Outcome(state=TaskState.FAILED):
            return Outcome(settlement.id, TaskState.FAILED, _unexpected(error), span.trace_id)
        case _:
            return settlement


def _unexpected(error: Exception) -> str:
    return f"Failed archiving: internal error {type(error).__name__}; the log has it under the trace id"


def _about(task: ArchiveTask, span: traces.Span) -> dict[str, object]:
    return {
        "job_id": str(task.id.job_id),
        "reference": task.reference.id,
        "version": task.reference.version,
        "trace_id": span.trace_id,
    }
