"""One batch of a run: reads the stored objects, extracts, and writes values, counters and the run's end at once."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import definitions, runs, values
from app.db.database import Database
from app.db.runs import BatchRow
from app.db.values import Covered
from app.domain.archive_types import ExtractionPath
from app.domain.extraction import KeyedPath, MetadataValue, compile_paths
from app.domain.readiness import DATABASE, Readiness
from app.domain.runs import BatchResult, Mode, Run, RunState
from app.metadata.extract import Extractor, Unreadable
from app.outages import through_outages
from app.telemetry import metrics

READS = 8
"""Objects of one batch that are read at once: all that a run asks of the store while archiving has work."""

RECORDINGS = 3
"""Batches that a process records at once: each may wait for the row of its run, with a connection of the pool."""

PROGRESS_EVERY = 100
"""Batches between two lines of progress in the log."""

log = logging.getLogger(__name__)


class MetadataBackfill:
    """Does batches; any process can do any batch, at any time, again."""

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
        """Returns once the batch is recorded, or its run has ended. Waits through outages; safe to repeat."""
        paths, covered = await through_outages(self._readiness, DATABASE, lambda: self._load(row))
        extracted: dict[int, Mapping[str, MetadataValue]] = {}
        errors: dict[int, str] = {}

        async def read(artifact: Covered) -> None:
            try:
                extracted[artifact.id] = await self._extractor.read(artifact.object, paths)
            except Unreadable as unreadable:
                errors[artifact.id] = str(unreadable)
            except Exception as error:  # a bug: it costs this artifact, not the batch and the run
                log.exception("unexpected error", extra={"run_id": str(row.id.run_id)})
                errors[artifact.id] = f"Internal error: {type(error).__name__}; the log has it"

        rest = iter(covered)

        async def reader() -> None:
            for artifact in rest:
                await read(artifact)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(READS):
                tasks.create_task(reader())
        ids = [artifact.id for artifact in covered]

        async def record(connection: AsyncConnection) -> tuple[Run, BatchResult]:
            return await _record(connection, row, ids, extracted, errors, self._batch_size)

        try:
            async with self._recording:
                after, result = await through_outages(self._readiness, DATABASE, lambda: self._database.run(record))
        except _Ended:
            return
        metrics.ARTIFACTS_PROCESSED.inc(result.processed)
        metrics.ARTIFACTS_UPDATED.inc(result.updated)
        metrics.ARTIFACTS_FAILED.inc(result.failed)
        self._tell(after, row, errors)
        self._on_settled()

    async def _load(self, row: BatchRow) -> tuple[tuple[KeyedPath, ...], list[Covered]]:
        """The paths of the run's keys, as applied, and the artifacts that are still to be read."""
        async with self._database.reading(brief=True) as connection:
            applied = await definitions.find(connection, row.run.archive_type)
            keys = () if applied is None else applied.keys
            # An automatic run brings artifacts up to date with all keys; it may have overtaken another one.
            wanted = {key.key for key in keys} if row.run.mode is Mode.AUTOMATIC else set(row.run.keys)
            paths = compile_paths(ExtractionPath(key.key, key.path) for key in keys if key.active and key.key in wanted)
            return paths, await values.covered(connection, row)

    def _tell(self, run: Run, row: BatchRow, errors: Mapping[int, str]) -> None:
        about = {"run_id": str(run.id)}
        for artifact_id, message in errors.items():
            log.warning("metadata of artifact %d: %s", artifact_id, message, extra=about)
        counts = "%d of %d processed, %d updated, %d nulls, %d failed"
        numbers = (run.processed, run.total, run.updated, run.nulls, run.failed)
        if run.state is RunState.COMPLETED and run.completed is not None:
            seconds = (run.completed - run.started).total_seconds()
            log.info(f"metadata backfill completed: {counts}, %.3f s", *numbers, seconds, extra=about)
            metrics.METADATA_RUNS_OPEN.dec()
        elif row.id.position % PROGRESS_EVERY == 0:
            log.info(f"metadata backfill: {counts}", *numbers, extra=about)


async def _record(
    connection: AsyncConnection,
    row: BatchRow,
    ids: list[int],
    extracted: Mapping[int, Mapping[str, MetadataValue]],
    errors: Mapping[int, str],
    batch_size: int,
) -> tuple[Run, BatchResult]:
    """All that a batch changes, in one transaction. Raises _Ended where its run or the batch itself has ended.

    What takes long comes first: all batches of a run, on all processes, meet at its row. A definition that overtakes
    the run changes that row too, so that what was written for nothing is rolled back.
    """
    now = datetime.now(UTC)
    changed, nulls = await values.write(connection, row.run, extracted)
    if row.run.mode is Mode.AUTOMATIC:
        await values.raise_revision(connection, row.run, ids)
    run = await runs.find(connection, row.id.run_id, lock=True)
    if run is None or run.state not in (RunState.OPEN, RunState.PAUSED):
        raise _Ended
    if not await runs.close_batch(connection, row):
        raise _Ended
    await values.note_errors(connection, run, ids, errors, now)
    result = BatchResult(processed=len(ids), updated=changed, nulls=nulls, failed=len(errors))
    after = await runs.count_batch(connection, run.id, result, now)
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
    """Nothing of this batch is to be recorded."""
