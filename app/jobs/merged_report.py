"""The merged report of a job and its retries: each reference once, with its state in the last job that has it.

A retry has failed references of another job, in the same order. So the tasks of all these jobs are read side by side,
page by page; no reference is looked up by itself.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from app.db import jobs, reports
from app.db.database import Database
from app.domain.jobs import Job, JobState, ReportedTask, TaskState
from app.jobs.report import PAGE

IN_MEMORY = 20_000
"""Tasks of all retries in memory at the same time: about 20 MB."""

FEWEST = 20
"""The smallest page of tasks of one retry, however many retries there are."""


@dataclass(frozen=True, slots=True)
class MergedJob:
    """`job` is the job with state, result and end of the merged report; of its counters only the result is right.
    `retries` are in the order of their starts."""

    job: Job
    retries: Sequence[Job]


class MergedReports:
    """The merged reports of jobs. Every method raises Unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, job_id: UUID) -> MergedJob | None:
        async with self._database.reading() as connection:
            job = await jobs.find(connection, job_id)
            if job is None:
                return None
            retries = await reports.retries(connection, job_id)
        if not retries:
            return MergedJob(job, ())
        if any(each.state is JobState.OPEN for each in (job, *retries)):
            return MergedJob(replace(job, state=JobState.OPEN, completed=None), retries)
        ends = [each.completed for each in (job, *retries) if each.completed is not None]
        succeeded, failed = await self._outcomes(job, retries)
        return MergedJob(replace(job, completed=max(ends), succeeded=int(succeeded), failed=int(failed)), retries)

    async def _outcomes(self, job: Job, retries: Sequence[Job]) -> tuple[bool, bool]:
        """Whether any reference succeeded, and whether any failed, in the end. Stops reading once both are certain."""
        succeeded, failed = job.succeeded > 0, False
        async for page in self._merged(job.id, retries, TaskState.FAILED):
            succeeded = succeeded or any(each.state is TaskState.SUCCEEDED for each in page)
            failed = failed or any(each.state is TaskState.FAILED for each in page)
            if succeeded and failed:
                break
        return succeeded, failed

    async def pages(self, of: MergedJob, state: TaskState | None = None) -> AsyncIterator[list[ReportedTask]]:
        """All references in the order of submission; with `state` only those whose last state it is."""
        async for page in self._merged(of.job.id, of.retries, None):
            if wanted := [each for each in page if state in (None, each.state)]:
                yield wanted

    async def _merged(
        self, job_id: UUID, retries: Sequence[Job], was: TaskState | None
    ) -> AsyncIterator[list[ReportedTask]]:
        """The references whose state in the job itself is `was` (None: any), each with its last state."""
        later = _Later([self._tasks(each.id, max(FEWEST, IN_MEMORY // len(retries))) for each in retries])
        await later.begin()
        after, full = -1, True
        while full:
            async with self._database.reading() as connection:
                found = await reports.keyed_page(connection, job_id, after, PAGE, was)
            if found:
                yield [await later.of(key, task) if task.state is TaskState.FAILED else task for key, task in found]
                after = found[-1][1].position
            full = len(found) == PAGE

    async def _tasks(self, job_id: UUID, size: int) -> AsyncIterator[tuple[UUID, ReportedTask]]:
        after, full = -1, True
        while full:
            async with self._database.reading() as connection:
                found = await reports.keyed_page(connection, job_id, after, size, None)
            for each in found:
                yield each
                after = each[1].position
            full = len(found) == size


class _Later:
    """Reads the tasks of all retries side by side. The head of a retry is its first task that was not used yet; when
    the report reaches the reference of a head, that retry is read further."""

    def __init__(self, retries: Sequence[AsyncIterator[tuple[UUID, ReportedTask]]]) -> None:
        self._retries = retries
        self._heads: dict[UUID, dict[int, ReportedTask]] = {}
        """Key of a reference → the heads that are its tasks, by number of the retry."""

    async def begin(self) -> None:
        for number in range(len(self._retries)):
            await self._read_on(number)

    async def of(self, key: UUID, task: ReportedTask) -> ReportedTask:
        """The task of the last retry that has this reference, at its place in the job; else `task`."""
        heads = self._heads.pop(key, None)
        if heads is None:
            return task
        for number in heads:
            await self._read_on(number)
        last = heads[max(heads)]
        return replace(last, position=task.position)

    async def _read_on(self, number: int) -> None:
        head = await anext(self._retries[number], None)
        if head is not None:
            self._heads.setdefault(head[0], {})[number] = head[1]
