"""Tasks as they are owed and as their commands find them, and the answers: an outcome, no data yet, or put back."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from app.domain.artifacts import ArchivedArtifact, StoredArtifact
from app.domain.identity import trace_id_of
from app.domain.jobs import Reference, TaskId, TaskState
from app.domain.live_tasks import Origin, trace_of_message


class OwedTask(NamedTuple):
    """A task whose command is to be sent, with the fields of its job.

    `key` is that of `TaskKey`. `traceparent` is that of the message for tasks of messages (`is_live`), else that of the
    submission.
    """

    job_id: UUID
    position: int
    key: UUID
    reference: Reference
    message: str
    topic: str
    traceparent: str | None = None
    is_live: bool = False

    @property
    def live_key(self) -> UUID | None:
        """The key of the task of a message (`domain.identity.live_task_key`)."""
        return self.key if self.is_live else None

    @property
    def trace_id(self) -> str:
        """The trace of this reference: that of the message where it had one."""
        of_message = trace_of_message(self.traceparent) if self.is_live else None
        return of_message or trace_id_of(self.job_id, self.key.bytes)


class TaskKey(NamedTuple):
    """The job and the `reference_key` of the task (`domain.identity`): all that a command has of its task.

    For the task of a message that is its `live_task_key`.
    """

    job_id: UUID
    reference_key: UUID


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task as a command finds it, with the fields of its job.

    `origin` is there for tasks of messages. `is_behind`: a task of an earlier message about the same reference is open,
    so this one has to wait.
    """

    id: TaskId
    state: TaskState
    attempts: int
    stored: StoredArtifact | None
    message: str
    topic: str
    config_id: str | None
    num_of_retry: int | None
    job_started: datetime
    paused: bool
    kind: str
    origin: Origin | None = None
    is_behind: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """Succeeded, with the row of its artifact, or failed with message and trace id."""

    id: TaskId
    state: TaskState
    message: str | None = None
    trace_id: str | None = None
    archived: ArchivedArtifact | None = None


@dataclass(frozen=True, slots=True)
class NoData:
    """The source had no data: the task stays open and remembers that."""

    id: TaskId
    trace_id: str


@dataclass(frozen=True, slots=True)
class PutBack:
    """Makes the task unpublished again, due at a later time.

    `hold_job` keeps the rest of the job back as long, to spare its source. `reason` is for the log, it is not stored.
    """

    id: TaskId
    not_before: datetime
    attempts: int
    hold_job: bool = False
    reason: str = ""


Settlement = Outcome | NoData | PutBack
