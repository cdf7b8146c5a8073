"""Handles CreateArtifactCommand: finds the tasks of a whole poll, and hands out those that are still to be done."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from uuid import UUID

from app.archiver.pipeline import Archiver
from app.archiver.records import Records
from app.broker.codec import CreateArtifactCommandMessage, command_of
from app.domain.artifacts import ArchiveTask
from app.domain.errors import InvalidMessage
from app.domain.identity import command_idempotence_id, reference_key
from app.domain.jobs import TaskState
from app.domain.tasks import PutBack, TaskKey, TaskRow
from app.messaging.dispatch import Answer, DeadLetter, Received, Settled
from app.messaging.slots import Free, Work
from app.telemetry import metrics, traces

STALE = 1.0
"""Seconds in hand after which a task is looked up again before it starts: it may be paused or done by now."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Command:
    message: CreateArtifactCommandMessage
    key: TaskKey
    traceparent: str | None


class CreateArtifactHandler:
    """`lane_of` says which source a task will ask; `max_attempts` holds where the job says nothing."""

    def __init__(
        self, records: Records, archiver: Archiver, lane_of: Callable[[TaskRow], str], max_attempts: int
    ) -> None:
        self._records = records
        self._archiver = archiver
        self._lane_of = lane_of
        self._max_attempts = max_attempts

    async def receive(self, messages: Sequence[Received]) -> list[Answer]:
        """One look-up for all of them."""
        metrics.COMMANDS_RECEIVED.inc(len(messages))
        commands = [self._checked(received) for received in messages]
        keys = [command.key for command in commands if isinstance(command, _Command)]
        found = await self._records.look_up(keys) if keys else {}
        return [
            self._answer(command, found.get(command.key)) if isinstance(command, _Command) else command
            for command in commands
        ]

    @staticmethod
    def _checked(received: Received) -> "_Command | DeadLetter":
        try:
            message = command_of(received.message)
            key = TaskKey(message.job_id, UUID(bytes=reference_key(message.reference)))
        except InvalidMessage as invalid:
            return DeadLetter(str(invalid))
        except UnicodeEncodeError:
            return DeadLetter("references.archiveData.referenceId is not valid Unicode")
        return _Command(message, key, received.traceparent)

    def _answer(self, command: _Command, row: TaskRow | None) -> Answer:
        if row is None:
            return DeadLetter("no such job or task")
        if row.state is not TaskState.OPEN:
            metrics.TASKS_ALREADY_SETTLED.inc()
            return Settled()
        looked_up = monotonic()
        current: TaskRow | None = row

        async def still_wanted() -> bool:
            nonlocal current, looked_up
            if current is not None and (current.paused or monotonic() - looked_up > STALE):
                current, looked_up = await self._records.look_again(command.key), monotonic()
            return current is not None and current.state is TaskState.OPEN and not current.paused

        async def run(free: Free) -> None:
            if await still_wanted() and current is not None:
                await self._archiver.archive(self._task(command, current), free, still_wanted)
            elif current is not None and current.paused:
                await self._put_back(current, 0)

        return Work(self._lane_of(row), row.id.job_id, run, lambda seconds: self._put_back(row, seconds))

    async def _put_back(self, row: TaskRow, seconds: float) -> None:
        not_before = datetime.now(UTC) + timedelta(seconds=seconds)
        await self._records.settle(PutBack(row.id, not_before, row.attempts, hold_job=seconds > 0))

    def _task(self, command: _Command, row: TaskRow) -> ArchiveTask:
        reference = command.message.reference
        parent = command.traceparent if traces.parse(command.traceparent) else row.traceparent
        return ArchiveTask(
            id=row.id,
            reference=reference,
            message=row.message,
            config_id=row.config_id,
            job_started=row.job_started,
            attempts=row.attempts,
            max_attempts=self._max_attempts if row.num_of_retry is None else row.num_of_retry + 1,
            idempotence_id=command_idempotence_id(row.id.job_id, reference),
            traceparent=parent,
            stored=row.stored,
        )
