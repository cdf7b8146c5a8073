"""The database calls of the archiver, each gathered over many tasks and repeated through outages."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.archiver.gather import Gather
from app.db import jobs, live_tasks, tasks
from app.db.database import Database
from app.db.job_history import JobHistory
from app.domain.artifacts import StoredArtifact
from app.domain.jobs import BY_FAILURES, FailureThreshold, JobChange, TaskId
from app.domain.readiness import DATABASE, Readiness
from app.domain.tasks import Settlement, TaskKey, TaskRow
from app.outages import through_outages
from app.telemetry import metrics

T = TypeVar("T")

log = logging.getLogger(__name__)


class Records:
    """The task rows as the archiver sees them. Every call returns once its transaction is committed."""

    def __init__(
        self,
        database: Database,
        readiness: Readiness,
        history: JobHistory,
        on_settled: Callable[[int], None],
        threshold: FailureThreshold | None = None,
    ) -> None:
        """`threshold`: a job whose failures exceed it pauses itself; None: a job never pauses itself."""
        self._database = database
        self._readiness = readiness
        self._history = history
        self._on_settled = on_settled
        self._threshold = threshold
        self._notes: Gather[tuple[TaskId, StoredArtifact], bool] = Gather(self._note_all)
        self._settlements: Gather[Settlement, bool] = Gather(self._settle_all)
        # Without delay: slots become free together, so tasks that start come together by themselves.
        self._look_ups: Gather[TaskKey, TaskRow | None] = Gather(self._look_up_in_order, delay=0)
        self._payloads: Gather[UUID, bytes | None] = Gather(self._payloads_in_order, delay=0)

    async def look_up(self, keys: Sequence[TaskKey]) -> dict[TaskKey, TaskRow]:
        """The tasks of all commands of a poll; unknown tasks are absent."""
        metrics.BATCH_LOOK_UP.observe(len(keys))
        return await self._run_once(lambda c: tasks.look_up(c, keys))

    async def look_again(self, key: TaskKey) -> TaskRow | None:
        """The present state of one task, for a command that has waited."""
        return await self._look_ups.add(key)

    async def payload(self, key: UUID) -> bytes | None:
        """The document of a message (`domain.identity.live_task_key`); None when it is no longer kept."""
        return await self._payloads.add(key)

    async def note(self, task: TaskId, stored: StoredArtifact) -> bool:
        """Notes where the object is stored; False when the task is no longer open, or has a place noted already."""
        return await self._notes.add((task, stored))

    async def settle(self, settlement: Settlement) -> bool:
        """Records an answer; False when it changed nothing (`db.tasks.settle`)."""
        return await self._settlements.add(settlement)

    async def _look_up_in_order(self, keys: Sequence[TaskKey]) -> list[TaskRow | None]:
        found = await self.look_up(keys)
        return [found.get(key) for key in keys]

    async def _payloads_in_order(self, keys: Sequence[UUID]) -> list[bytes | None]:
        found = await self._run_once(lambda c: live_tasks.payloads(c, keys))
        return [found.get(key) for key in keys]

    async def _note_all(self, objects: Sequence[tuple[TaskId, StoredArtifact]]) -> list[bool]:
        metrics.BATCH_NOTE.observe(len(objects))
        changed = await self._run_once(lambda c: tasks.note(c, objects))
        return [task in changed for task, _ in objects]

    async def _settle_all(self, settlements: Sequence[Settlement]) -> list[bool]:
        metrics.BATCH_RECORD.observe(len(settlements))
        settled = await self._run(lambda c: self._settle_in(c, settlements))
        self._on_settled(len(settled.changed))
        for job_id in settled.completed:
            await self._log_completed(job_id)
        for job_id in settled.paused:
            text = "job paused: more than %g of its references failed; mend the cause, then resume or cancel it"
            log.warning(text, self._threshold.share if self._threshold else 0, extra={"job_id": str(job_id)})
        return [settlement.id in settled.changed for settlement in settlements]

    async def _settle_in(self, connection: AsyncConnection, settlements: Sequence[Settlement]) -> tasks.SettledTasks:
        now = datetime.now(UTC)
        settled = await tasks.settle(connection, settlements, now, self._threshold)
        for job_id in settled.paused:
            await self._history.record(connection, job_id, JobChange.PAUSED, BY_FAILURES, now)
        for job_id in settled.completed:
            await self._history.record(connection, job_id, JobChange.COMPLETED, None, now)
        return settled

    async def _log_completed(self, job_id: UUID) -> None:
        job = await self._run(lambda c: jobs.find(c, job_id))
        if job is not None and job.result is not None and job.completed is not None:
            metrics.JOBS_COMPLETED.labels(job.result).inc()
            log.info(
                "job completed: %s, %d succeeded, %d failed",
                job.result,
                job.succeeded,
                job.failed,
                extra={"job_id": str(job_id), "seconds": round((job.completed - job.started).total_seconds(), 3)},
            )

    async def _run(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        return await through_outages(self._readiness, DATABASE, lambda: self._database.run(work))

    async def _run_once(self, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        return await through_outages(self._readiness, DATABASE, lambda: self._database.once(work))
