"""Handles BackfillMetadataCommand: one batch of a metadata run, done with the capacity that archiving leaves."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from app.broker.codec import run_batch_of
from app.db import runs
from app.db.database import Database
from app.db.runs import BatchId, BatchRow
from app.domain.errors import InvalidMessage
from app.domain.readiness import DATABASE, Readiness
from app.domain.runs import RunState
from app.messaging.dispatch import Answer, DeadLetter, Received, Settled
from app.messaging.slots import Free, Work
from app.metadata.backfill import MetadataBackfill
from app.outages import through_outages
from app.telemetry import metrics

METADATA = "metadata"
"""Lane of the batches."""

LATER = timedelta(seconds=60)
"""Before a batch that ran into an unexpected error is tried again."""

log = logging.getLogger(__name__)


class BackfillMetadataHandler:
    def __init__(self, database: Database, readiness: Readiness, backfill: MetadataBackfill) -> None:
        self._database = database
        self._readiness = readiness
        self._backfill = backfill

    async def receive(self, messages: Sequence[Received]) -> list[Answer]:
        """One look-up for all of them."""
        metrics.COMMANDS_RECEIVED.inc(len(messages))
        ids = [self._checked(received) for received in messages]
        found = await self._look_up([place for place in ids if isinstance(place, BatchId)])
        return [self._answer(place, found) if isinstance(place, BatchId) else place for place in ids]

    @staticmethod
    def _checked(received: Received) -> "BatchId | DeadLetter":
        try:
            return BatchId(*run_batch_of(received.message))
        except InvalidMessage as invalid:
            return DeadLetter(str(invalid))

    async def _look_up(self, ids: Sequence[BatchId]) -> dict[BatchId, BatchRow]:
        async def look() -> dict[BatchId, BatchRow]:
            async with self._database.reading(brief=True) as connection:
                return await runs.look_up(connection, ids)

        return await through_outages(self._readiness, DATABASE, look) if ids else {}

    def _answer(self, place: BatchId, found: dict[BatchId, BatchRow]) -> Answer:
        row = found.get(place)
        if row is None:
            return DeadLetter("no such run or batch")
        if not row.is_open:
            return Settled()

        async def run(_: Free) -> None:
            current = (await self._look_up([place])).get(place)  # it may have waited long for archiving
            if current is None or not current.is_open:
                return
            if current.run.state is RunState.PAUSED:
                await self._put_back(place)
                return
            try:
                await self._backfill.do(current)
            except Exception:  # a bug: the records behind this one must not wait for it
                log.exception("a batch cannot be done, tried again later", extra={"run_id": str(place.run_id)})
                await self._put_back(place, LATER)

        return Work(METADATA, place.run_id, run)

    async def _put_back(self, place: BatchId, later: timedelta = timedelta(0)) -> None:
        not_before = datetime.now(UTC) + later
        await through_outages(
            self._readiness, DATABASE, lambda: self._database.run(lambda c: runs.put_back(c, place, not_before))
        )
