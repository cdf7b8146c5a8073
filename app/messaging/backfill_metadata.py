"""Handles BackfillMetadataCommand: one batch of a metadata run, done with the capacity that archiving leaves."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from typing_extensions import override

from app.broker.codec import run_batch_of
from app.db import runs
from app.db.database import Database
from app.db.runs import BatchId, BatchRow
from app.domain.errors import InvalidMessage
from app.domain.readiness import DATABASE, Readiness
from app.domain.runs import RunState
from app.messaging.dispatch import Acknowledged, Answer, DeadLetter, Received
from app.messaging.slot_policy import METADATA
from app.messaging.work import Free, Work
from app.metadata.backfill import MetadataBackfill
from app.outages import through_outages
from app.telemetry import metrics

LATER = timedelta(seconds=60)
"""Pause before a batch with an unexpected error is tried again."""

log = logging.getLogger(__name__)


class _Batches:
    """The rows of batches; every call waits through outages of the database."""

    def __init__(self, database: Database, readiness: Readiness) -> None:
        self._database = database
        self._readiness = readiness

    async def look_up(self, ids: Sequence[BatchId]) -> dict[BatchId, BatchRow]:
        """The batches of these commands; unknown batches are absent."""

        async def look() -> dict[BatchId, BatchRow]:
            async with self._database.reading(brief=True) as connection:
                return await runs.look_up(connection, ids)

        return await through_outages(self._readiness, DATABASE, look) if ids else {}

    async def put_back(self, batch: BatchId, later: timedelta) -> None:
        not_before = datetime.now(UTC) + later
        await through_outages(
            self._readiness, DATABASE, lambda: self._database.run(lambda c: runs.put_back(c, batch, not_before))
        )


class BatchWork(Work):
    """The work on one batch of a metadata run."""

    __slots__ = ("_backfill", "_batch", "_batches", "turn")

    lane = METADATA

    def __init__(self, batch: BatchId, batches: _Batches, backfill: MetadataBackfill) -> None:
        self.turn = batch.run_id
        self._batch = batch
        self._batches = batches
        self._backfill = backfill

    @override
    async def run(self, free: Free) -> None:
        """Does the batch, unless another process did it; puts it back when its run is paused, and after an unexpected
        error."""
        row = (await self._batches.look_up([self._batch])).get(self._batch)  # it may have waited long for archiving
        if row is None or not row.is_open:
            return
        if row.run.state is RunState.PAUSED:
            await self._batches.put_back(self._batch, timedelta(0))
            return
        try:
            await self._backfill.do(row)
        except Exception:  # a bug: the records behind this one must not wait for it
            log.exception("a batch cannot be done, tried again later", extra={"run_id": str(self._batch.run_id)})
            await self._batches.put_back(self._batch, LATER)


class BackfillMetadataHandler:
    """Finds the batches of all commands of a poll, and returns the work on those that are still to be done."""

    def __init__(self, database: Database, readiness: Readiness, backfill: MetadataBackfill) -> None:
        self._batches = _Batches(database, readiness)
        self._backfill = backfill

    async def receive(self, messages: Sequence[Received]) -> list[Answer]:
        """One look-up for all commands of the poll."""
        metrics.COMMANDS_RECEIVED.inc(len(messages))
        checked = [self._checked(received) for received in messages]
        found = await self._batches.look_up([batch for batch in checked if isinstance(batch, BatchId)])
        return [self._answer(batch, found) if isinstance(batch, BatchId) else batch for batch in checked]

    @staticmethod
    def _checked(received: Received) -> "BatchId | DeadLetter":
        try:
            return BatchId(*run_batch_of(received.message))
        except InvalidMessage as invalid:
            return DeadLetter(str(invalid))

    def _answer(self, batch: BatchId, found: Mapping[BatchId, BatchRow]) -> Answer:
        row = found.get(batch)
        if row is None:
            return DeadLetter("no such run or batch")
        return BatchWork(batch, self._batches, self._backfill) if row.is_open else Acknowledged()
