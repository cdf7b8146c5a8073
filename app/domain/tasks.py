"""Tasks as they are owed and as their commands find them, and the answers: an outcome, no data yet, or put back."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from app.domain.artifacts import ArchivedArtifact, StoredArtifact
from app.domain.jobs import Reference, TaskId, TaskState


class OwedTask(NamedTuple):
    """A task whose command is to be sent, with the fields of its job."""

    job_id: UUID
    position: int
    reference: Reference
    message: str
    topic: str
    traceparent: str | None = None


class TaskKey(NamedTuple):
    """The job and the 16 bytes of `domain.identity.reference_key`: all that a command has of its task."""

    job_id: UUID
    reference_key: UUID


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task as a command finds it, with the fields of its job."""

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
