"""Does one batch of a run: reads stored objects, extracts values, writes values, counters and the end at once."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import definitions, runs, values
from app.db.database import Database
from app.db.runs import BatchRow
from app.db.values import Covered
from app.domain.archive_types import ExtractionPath
from app.domain.extraction import KeyedPath, MetadataValue, compile_paths
from app.domain.readiness import DATABASE, Readiness
from app.domain.runs import BatchResult, Mode, Run, RunState
from app.metadata.extract import Extractor, UnreadableDocument
from app.outages import through_outages
from app.telemetry import metrics

READS = 8
"""Objects of one batch that are read at the same time: the most that a run asks of the store while archiving has work.
"""

RECORDINGS = 3
"""Batches that a process records at the same time: each may wait for the row of its run, and holds a connection of the
pool."""

PART = 16 * 1024 * 1024
"""Bytes of documents after which the part of the batch that was read is recorded: its values stay in memory until then.
"""

PROGRESS_EVERY = 100
"""Batches between two progress lines in the log."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class _WantedValues(NamedTuple):
    """The keys to extract from each artifact; `unread` are the active keys that are not extracted."""

    paths: tuple[KeyedPath, ...]
    unread: frozenset[str]


class _Part(NamedTuple):
    """The result of reading a batch, or a part of one: artifact ids in order, and for each its values or the reason why
    there are none."""

    ids: list[int]
    extracted: Mapping[int, Mapping[str, MetadataValue]]
    errors: Mapping[int, str]


class MetadataBackfill:
    """Does batches. Any process can do any batch, at any time, and more than once."""

    def __init__(
        self,
        database: Database,
        extractor: Extractor,
        readiness: Readiness,
        *,
        batch_size: int,
        on_settled: Callable[[], None],
    ) -> None:
        self._database = database
        self._extractor = extractor
        self._readiness = readiness
        self._batch_size = batch_size
        self._on_settled = on_settled
        self._recording = asyncio.Semaphore(RECORDINGS)

    async def do(self, row: BatchRow) -> None:
        """Returns once the batch is recorded, or its run has ended. Waits through outages; may be repeated."""
        wanted, covered = await through_outages(self._readiness, DATABASE, lambda: self._load(row))
        parts = list(_parts(covered))
        for place, part in enumerate(parts, 1):
            read = await self._read(row.id.run_id, part, wanted.paths)
            left = await self._record(row, read, wanted.unread, last=place == len(parts))
            if left is None:
                return
            row = left

    async def _read(self, run_id: UUID, part: Sequence[Covered], paths: Sequence[KeyedPath]) -> _Part:
        extracted: dict[int, Mapping[str, MetadataValue]] = {}
        errors: dict[int, str] = {}
        rest = iter(part)

        async def reader() -> None:
            for artifact in rest:
                try:
                    extracted[artifact.id] = await self._extractor.read(artifact.object, paths)
                except UnreadableDocument as unreadable:
                    errors[artifact.id] = str(unreadable)
                except Exception as error:  # a bug: it costs this artifact, not the batch and the run
                    errors[artifact.id] = _unexpected(error, run_id)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(READS):
                tasks.create_task(reader())
        return _Part([artifact.id for artifact in part], extracted, errors)

    async def _record(self, row: BatchRow, part: _Part, unread: Collection[str], *, last: bool) -> BatchRow | None:
        """Records the part; returns the rest of the batch, None when the run has ended or another process did the
        batch."""

        async def record(connection: AsyncConnection) -> tuple[Run, BatchResult]:
            return await _record(connection, row, part, unread, self._batch_size, last=last)

        try:
            async with self._recording:
                after, result = await through_outages(self._readiness, DATABASE, lambda: self._database.run(record))
        except _Ended:
            return None
        except Exception as error:  # what the database does not take costs one artifact, too
            if len(part.ids) > 1:
                return await self._record_singly(row, part, unread, last=last)
            if not part.extracted:
                raise
            failed = {id_: _unexpected(error, row.id.run_id) for id_ in part.ids}
            return await self._record(row, _Part(part.ids, {}, failed), unread, last=last)
        metrics.ARTIFACTS_PROCESSED.inc(result.processed)
        metrics.ARTIFACTS_UPDATED.inc(result.updated)
        metrics.ARTIFACTS_FAILED.inc(result.failed)
        self._tell(after, row, part.errors)
        if last:
            self._on_settled()
        return row._replace(after_id=part.ids[-1]) if part.ids else row

    async def _record_singly(
        self, row: BatchRow, part: _Part, unread: Collection[str], *, last: bool
    ) -> BatchRow | None:
        for id_ in part.ids:
            single = _Part([id_], _only(part.extracted, id_), _only(part.errors, id_))
            left = await self._record(row, single, unread, last=last and id_ == part.ids[-1])
            if left is None:
                return None
            row = left
        return row

    async def _load(self, row: BatchRow) -> tuple[_WantedValues, list[Covered]]:
        """The paths of the run's keys, as applied, and the artifacts that are still to be read."""
        async with self._database.reading(brief=True) as connection:
            applied = await definitions.find(connection, row.run.archive_type)
            active = [key for key in (() if applied is None else applied.keys) if key.active]
            # An automatic run brings artifacts up to date with all keys; it may have overtaken another one.
            wanted = {key.key for key in active}
            if row.run.mode is not Mode.AUTOMATIC:
                wanted &= set(row.run.keys)
            paths = compile_paths(ExtractionPath(key.key, key.path) for key in active if key.key in wanted)
            unread = frozenset(key.key for key in active if key.key not in wanted)
            return _WantedValues(paths, unread), await values.covered(connection, row)

    def _tell(self, run: Run, row: BatchRow, errors: Mapping[int, str]) -> None:
        about = {"run_id": str(run.id)}
        for artifact_id, message in errors.items():
            log.warning("metadata of artifact %d: %s", artifact_id, message, extra=about)
        if run.state is RunState.COMPLETED and run.completed is not None:
            seconds = (run.completed - run.started).total_seconds()
            log.info("metadata backfill completed: %s, %.3f s", run.progress_text, seconds, extra=about)
            metrics.METADATA_RUNS_OPEN.dec()
        elif row.id.position % PROGRESS_EVERY == 0:
            log.info("metadata backfill: %s", run.progress_text, extra=about)


def _parts(covered: Sequence[Covered]) -> Iterator[list[Covered]]:
    """The artifacts in order, in lists of at most `PART` bytes or one artifact; the last list may be empty."""
    part: list[Covered] = []
    size = 0
    for artifact in covered:
        if part and size + artifact.object.size > PART:
            yield part
            part, size = [], 0
        part.append(artifact)
        size += artifact.object.size
    yield part


def _only(of: Mapping[int, T], id_: int) -> dict[int, T]:
    return {id_: of[id_]} if id_ in of else {}


def _unexpected(error: Exception, run_id: UUID) -> str:
    log.error("unexpected error", exc_info=error, extra={"run_id": str(run_id)})
    return f"Internal error: {type(error).__name__}; the log has it"


async def _record(
    connection: AsyncConnection,
    row: BatchRow,
    part: _Part,
    unread: Collection[str],
    batch_size: int,
    *,
    last: bool,
) -> tuple[Run, BatchResult]:
    """Writes all changes of a batch, or of a part of it, in one transaction. Raises _Ended when run or batch has ended.

    The slow writes come first, as all batches of a run, on all processes, wait for the row of the run. A new definition
    that replaces the run changes that row too; then the writes of this transaction are rolled back.
    """
    now = datetime.now(UTC)
    changed, nulls = await values.write(connection, row.run, part.extracted)
    if row.run.mode is Mode.AUTOMATIC:
        await values.raise_revision(connection, row.run, part.ids)
    run = await runs.find(connection, row.id.run_id, lock=True)
    if run is None or run.state not in (RunState.OPEN, RunState.PAUSED):
        raise _Ended
    ours = runs.close_batch(connection, row) if last else runs.advance_batch(connection, row, part.ids[-1])
    if not await ours:
        raise _Ended
    await values.note_errors(connection, run, part.ids, unread, part.errors, now)
    result = BatchResult(processed=len(part.ids), updated=changed, nulls=nulls, failed=len(part.errors))
    after = await runs.count_batch(connection, run.id, result, now, closed=last)
    if after.open:
        return after, result
    # This was the last one: look for what was archived with an old definition meanwhile.
    if run.mode is Mode.AUTOMATIC:
        await runs.extend(connection, run, batch_size, now)
    else:
        await runs.complete(connection, run.id, now)
    ended = await runs.find(connection, run.id)
    assert ended is not None  # noqa: S101 # its row is held
    return ended, result


class _Ended(Exception):
    """The batch must not be recorded."""
