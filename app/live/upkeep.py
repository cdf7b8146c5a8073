"""Ends live jobs whose day is over, and deletes the documents of messages that nobody needs any more."""

import asyncio
import logging
from datetime import UTC, datetime
from time import monotonic
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import jobs, live_jobs, live_payloads
from app.db.database import Database
from app.db.job_history import JobHistory
from app.domain.errors import Unavailable
from app.domain.jobs import JobChange
from app.telemetry import metrics

EVERY = 5.0
"""Seconds between two looks."""

SELDOM = 300.0
"""Seconds between two looks at documents of failed tasks."""

PAUSES = 200
"""How much longer than a measurement of all documents is the pause after it."""

log = logging.getLogger(__name__)


class LiveUpkeep:
    """Each process runs it; what one does the others find done."""

    def __init__(self, database: Database, history: JobHistory) -> None:
        self._database = database
        self._history = history
        self._next_failed = self._next_size = 0.0

    async def run(self) -> None:
        """Runs until it is cancelled; outages only delay it."""
        while True:
            try:
                await self.look()
            except Unavailable as outage:
                log.debug("live jobs are looked at again later: %s", outage)
            await asyncio.sleep(EVERY)

    async def end(self) -> None:
        """Nothing is left to be written when the process ends."""

    async def look(self) -> None:
        """Does all that is due. Raises Unavailable."""
        for job_id in await self._database.run(self._complete):
            async with self._database.reading() as connection:
                job = await jobs.find(connection, job_id)
            if job is not None and job.result is not None:
                metrics.JOBS_COMPLETED.labels(job.result).inc()
                text = "live job completed: %s, %d succeeded, %d failed"
                log.info(text, job.result, job.succeeded, job.failed, extra={"job_id": str(job_id)})
        while await self._database.run(live_payloads.end) == live_payloads.AT_ONCE:
            pass
        if monotonic() >= self._next_failed:
            self._next_failed = monotonic() + SELDOM
            now = datetime.now(UTC)
            while await self._database.run(lambda c: live_payloads.forget_failed(c, now)) == live_payloads.AT_ONCE:
                pass
        if monotonic() >= self._next_size:
            await self._measure()

    async def _measure(self) -> None:
        """All documents are added up, however many failed: the longer it takes, the seldomer it is done."""
        began = monotonic()
        async with self._database.reading() as connection:
            metrics.LIVE_PAYLOAD_BYTES.set(await live_payloads.size(connection))
        self._next_size = monotonic() + (monotonic() - began) * PAUSES

    async def _complete(self, connection: AsyncConnection) -> list[UUID]:
        now = datetime.now(UTC)
        completed = await live_jobs.complete(connection, now)
        for job_id in completed:
            await self._history.record(connection, job_id, JobChange.COMPLETED, None, now)
        return completed
