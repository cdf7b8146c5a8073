"""Handles CreateArtifactCommand: finds the tasks of all commands of a poll, and returns the work on open tasks."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from uuid import UUID

from typing_extensions import override

from app.archiver.pipeline import Archiver
from app.archiver.records import Records
from app.broker.codec import CreateArtifactCommandMessage, command_of
from app.domain.artifacts import ArchiveTask
from app.domain.errors import InvalidMessage
from app.domain.identity import command_idempotence_id, live_key_of_command, reference_key, trace_id_of
from app.domain.jobs import TaskState
from app.domain.live_tasks import trace_of_message
from app.domain.tasks import PutBack, TaskKey, TaskRow
from app.messaging.dispatch import Acknowledged, Answer, DeadLetter, Received
from app.messaging.earlier_first import EarlierFirst
from app.messaging.slot_policy import PUTTING_BACK
from app.messaging.work import Free, Work
from app.telemetry import metrics

STALE = 1.0
"""Seconds after which a waiting task is looked up again before it starts: it may have been paused or done meanwhile."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Command:
    """A checked command: its message, the key of the task that it names, and the trace context of its record."""

    message: CreateArtifactCommandMessage
    key: TaskKey
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class _Steps:
    """The functions that all archive work calls; `max_attempts` holds when the job does not set a number."""

    records: Records
    archiver: Archiver
    max_attempts: int
    earlier_first: EarlierFirst
    on_live_ended: Callable[[], None]


class ArchiveWork(Work):
    """The work on the task of one command.

    The mutable state: the task as last looked up, and the time of that look-up.
    """

    __slots__ = ("_command", "_looked_up", "_row", "_steps", "lane", "turn")

    def __init__(self, lane: str, command: _Command, row: TaskRow, steps: _Steps) -> None:
        """`row` was looked up just now."""
        self.lane = lane
        self.turn = row.id.job_id
        self._command = command
        self._row: TaskRow | None = row
        self._steps = steps
        self._looked_up = monotonic()

    @override
    async def run(self, free: Free) -> None:
        """Archives the document of the task, unless the task is no longer open; when its job is paused the task is put
        back."""
        is_wanted = await self.still_wanted()
        if self._row is None:
            return
        if is_wanted:
            row = self._row
            await self._steps.archiver.archive(self._task(row), free, self.still_wanted)
            await self._steps.earlier_first.ended(row)
            if row.origin is not None:
                self._steps.on_live_ended()
        elif self._row.paused:
            await self.put_back(0)

    async def still_wanted(self) -> bool:
        """Whether the task may start: it is open and its job not paused, as looked up at most `STALE` seconds ago."""
        if self._row is not None and (self._row.paused or monotonic() - self._looked_up > STALE):
            self._row = await self._steps.records.look_again(self._command.key)
            self._looked_up = monotonic()
        return self._row is not None and self._row.state is TaskState.OPEN and not self._row.paused

    @override
    @property
    def is_urgent(self) -> bool:
        return self._row is not None and self._row.origin is not None

    @override
    @property
    def can_be_put_back(self) -> bool:
        return True

    @override
    async def put_back(self, seconds: float) -> None:
        """Puts the task back. With more than 0 seconds, the rest of the job waits as long: its source is slow."""
        if self._row is None:
            return
        not_before = datetime.now(UTC) + timedelta(seconds=seconds)
        put_back = PutBack(self._row.id, not_before, self._row.attempts, hold_job=seconds > 0)
        await self._steps.records.settle(put_back)

    def _task(self, row: TaskRow) -> ArchiveTask:
        command, most = self._command, self._steps.max_attempts
        reference = command.message.reference if row.origin is None else row.origin.reference
        return ArchiveTask(
            id=row.id,
            reference=reference,
            message=row.message,
            config_id=row.config_id,
            job_started=row.job_started,
            attempts=row.attempts,
            max_attempts=most if row.num_of_retry is None else row.num_of_retry + 1,
            command_id=command_idempotence_id(row.id.job_id, reference),
            trace_id=_trace_id(row, command.key),
            traceparent=command.traceparent,
            stored=row.stored,
            origin=row.origin,
        )


class CreateArtifactHandler:
    """`lane_of` says which source a task will ask; `max_attempts` holds when the job does not set a number; `on_due` is
    called when a command that waited is due; `on_live_ended` when the work on the task of a message has ended."""

    def __init__(
        self,
        records: Records,
        archiver: Archiver,
        lane_of: Callable[[TaskRow], str],
        max_attempts: int,
        on_due: Callable[[], None] = lambda: None,
        on_live_ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._steps = _Steps(records, archiver, max_attempts, EarlierFirst(records, on_due), on_live_ended)
        self._lane_of = lane_of

    async def receive(self, messages: Sequence[Received]) -> list[Answer]:
        """One look-up for all commands of the poll."""
        metrics.COMMANDS_RECEIVED.inc(len(messages))
        commands = [self._checked(received) for received in messages]
        keys = [command.key for command in commands if isinstance(command, _Command)]
        found = await self._steps.records.look_up(keys) if keys else {}
        return [
            self._answer(command, found.get(command.key)) if isinstance(command, _Command) else command
            for command in commands
        ]

    @staticmethod
    def _checked(received: Received) -> "_Command | DeadLetter":
        try:
            message = command_of(received.message)
            live_key = live_key_of_command(message.idempotence_id)
            key = TaskKey(message.job_id, live_key or UUID(bytes=reference_key(message.reference)))
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
            return Acknowledged()
        if row.is_behind:
            return WaitingForEarlier(row, self._steps.earlier_first)
        return ArchiveWork(self._lane_of(row), command, row, self._steps)


class WaitingForEarlier(Work):
    """Puts a task back whose message came after another one about the same reference that is not done: each document
    becomes a version, in the order of the messages."""

    __slots__ = ("_earlier_first", "_row", "turn")

    lane = PUTTING_BACK

    def __init__(self, row: TaskRow, earlier_first: EarlierFirst) -> None:
        self.turn = row.id.job_id
        self._row = row
        self._earlier_first = earlier_first

    @override
    async def run(self, free: Free) -> None:
        await self._earlier_first.wait(self._row)


def _trace_id(row: TaskRow, key: TaskKey) -> str:
    of_message = None if row.origin is None else trace_of_message(row.origin.traceparent)
    return of_message or trace_id_of(row.id.job_id, key.reference_key.bytes)
