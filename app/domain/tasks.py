"""Tasks as their commands find them, and what may become of one: an outcome, no data yet, or put back."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from app.domain.artifacts import ArchivedArtifact, StoredArtifact
from app.domain.jobs import TaskId, TaskState


class TaskKey(NamedTuple):
    """What a command knows of its task: the job and the 16 bytes of `domain.identity.reference_key`."""

    job_id: UUID
    reference_key: UUID


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task as a command finds it, with what its job says."""

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
    traceparent: str | None


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
    """The source had nothing: the task stays open and remembers it."""

    id: TaskId
    trace_id: str


@dataclass(frozen=True, slots=True)
class PutBack:
    """Unpublished again, not before a time; `hold_job` keeps the rest of the job back as long, to spare its source.

    `reason` is for the log, it is not stored.
    """

    id: TaskId
    not_before: datetime
    attempts: int
    hold_job: bool = False
    reason: str = ""


Settlement = Outcome | NoData | PutBack
