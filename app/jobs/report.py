"""Reads a job and its tasks for the report, page by page; no transaction stays open between two pages."""

from collections.abc import AsyncIterator
from uuid import UUID

from app.db import jobs, reports
from app.db.database import Database
from app.domain.jobs import Job, ReportedTask, TaskState

PAGE = 2_000
"""Tasks of one page: about 5 ms of work between two turns of the event loop."""


class Reports:
    """The results of jobs. Every method raises Unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, job_id: UUID) -> Job | None:
        async with self._database.reading() as connection:
            return await jobs.find(connection, job_id)

    async def pages(self, job_id: UUID, state: TaskState | None = None) -> AsyncIterator[list[ReportedTask]]:
        """All tasks in the order of submission, or only the tasks in `state` when it is given."""
        after = -1
        while True:
            async with self._database.reading() as connection:
                page = await reports.page(connection, job_id, after, PAGE, state)
            if page:
                yield page
            if len(page) < PAGE:
                return
            after = page[-1].position
