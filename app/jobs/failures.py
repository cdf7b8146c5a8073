"""The failures of a job, by cause."""

import asyncio
import logging
from uuid import UUID

from app.db import causes, failures, jobs
from app.db.database import Database
from app.domain.errors import Unavailable
from app.domain.failures import Failures
from app.jobs.control import UnknownJob

MOST_CAUSES = 100
"""Causes that are listed; the failures of all other causes are one number (contract, section 6)."""

AT_ONCE = 5_000
"""Failures counted in one transaction, which takes about 100 ms."""

LOOK = 60.0
"""Seconds between two searches for failures that a process of the previous release recorded without a cause."""

log = logging.getLogger(__name__)


class FailedReferences:
    """The failures of jobs. Every method but `run` raises Unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def by_cause(self, job_id: UUID) -> Failures:
        """The causes, the most frequent first. Raises UnknownJob."""
        async with self._database.reading() as connection:
            if await jobs.find(connection, job_id) is None:
                raise UnknownJob
        await count_all(self._database, job_id)
        async with self._database.reading() as connection:
            return await failures.by_cause(connection, job_id, MOST_CAUSES)

    async def run(self) -> None:
        """Counts, until it is cancelled, the failures that processes of the previous release recorded: so requests
        rarely wait for that."""
        while True:
            try:
                counted = await count_all(self._database)
                if counted:
                    log.info("%d failures that the release before recorded were counted by cause", counted)
            except Unavailable as outage:
                log.debug("failures are counted later: %s", outage)
            await asyncio.sleep(LOOK)


async def count_all(database: Database, job_id: UUID | None = None) -> int:
    """Counts the failures, of one job or all, that processes of the previous release recorded; returns how many."""
    counted = 0
    while True:
        async with database.reading(brief=True) as connection:
            found = await causes.with_uncounted(connection, job_id)
        if found is None:
            return counted
        counted += await _count_some(database, found)


async def _count_some(database: Database, job_id: UUID) -> int:
    return await database.run(lambda connection: causes.count_uncounted(connection, job_id, AT_ONCE))
