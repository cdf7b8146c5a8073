"""Jobs, their tasks and references, and the states of both."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol
from uuid import UUID

from app.domain.waiting import Waiting, WaitingFor


class JobState(StrEnum):
    """The set of states is closed: no other state may appear in a report."""

    OPEN = "open"
    COMPLETED = "completed"


class JobResult(StrEnum):
    SUCCEEDED = "succeeded"
    PARTIALLY_SUCCEEDED = "partially-succeeded"
    FAILED = "failed"


class JobKind(StrEnum):
    """`backfill`: submitted by a person; `live`: the messages of an archive type and a day."""

    BACKFILL = "backfill"
    LIVE = "live"


class JobChange(StrEnum):
    """A change of a job: `ACTIONS` are kept and shown, and events of `PUBLISHED` are sent."""

    SUBMITTED = "submitted"
    PAUSED = "paused"
    RESUMED = "resumed"
    CANCELLED = "cancelled"
    REDRIVEN = "redriven"
    RETRIED = "retried"
    COMPLETED = "completed"


ACTIONS = frozenset(JobChange) - {JobChange.SUBMITTED, JobChange.COMPLETED}
PUBLISHED = frozenset(JobChange) - {JobChange.REDRIVEN, JobChange.RETRIED}
"""The changes that a `BackfillJobStateChangedEvent` reports."""


class Action(NamedTuple):
    """Something that was done to a job; `by` is a person, or the job itself (`BY_FAILURES`)."""

    what: JobChange
    by: str
    at: datetime


class TaskState(StrEnum):
    OPEN = "open"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Reference(NamedTuple):
    """One archive data reference: the id as the source knows it, byte for byte, and its version where it has one."""

    id: str
    version: int | None = None


class References(Protocol):
    """References in order, packed: a million references are not a million objects in memory."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Reference]: ...


class TaskId(NamedTuple):
    """The place of a task in its job; tasks are locked in this order everywhere."""

    job_id: UUID
    position: int


@dataclass(frozen=True, slots=True)
class NewJob:
    """The request for a new job. A retry names the job that it retries, and the cause when it retries only one."""

    id: UUID
    message: str
    topic: str
    config_id: str | None
    resolved_config_id: str | None
    num_of_retry: int | None = None
    name: str | None = None
    total: int = 0
    content_hash: bytes = b""
    retry_of: UUID | None = None
    retry_cause: str | None = None
    kind: JobKind = JobKind.BACKFILL


@dataclass(frozen=True, slots=True)
class Job:
    """A job as stored. `config_id` is what the submission said, `resolved_config_id` what it resolved to.

    `cancelled` references are among the failed; `paused_seconds` are those of pauses that have ended. `retry_of` is the
    job whose failed references this job has; with `retry_cause` only the references that failed with this cause. `name`
    is a text of the submitter, for people. `traceparent` is the W3C context of the PUT: the trace of each reference has
    a link to it. `takes_until` is the end of the day of a live job: until then it gets tasks, and does not end.
    """

    id: UUID
    message: str
    topic: str
    config_id: str | None
    resolved_config_id: str | None
    num_of_retry: int | None
    state: JobState
    started: datetime
    completed: datetime | None
    started_by_name: str | None
    started_by_ext_id: str | None
    total: int
    open: int
    succeeded: int
    failed: int
    last_settled: datetime | None
    paused: bool
    traceparent: str | None
    content_hash: bytes
    paused_at: datetime | None = None
    paused_by: str | None = None
    cancelled: int = 0
    paused_seconds: float = 0
    retry_of: UUID | None = None
    retry_cause: str | None = None
    name: str | None = None
    kind: JobKind = JobKind.BACKFILL
    started_by_subject: str | None = None
    cancelled_by: str | None = None
    cancelled_at: datetime | None = None
    waiting: Waiting | None = None
    takes_until: datetime | None = None

    @property
    def trace_id(self) -> str | None:
        """The trace id of the request that submitted the job."""
        return None if self.traceparent is None else self.traceparent[3:35]

    @property
    def result(self) -> JobResult | None:
        """None while the job is open."""
        if self.state is JobState.OPEN:
            return None
        if self.failed == 0:
            return JobResult.SUCCEEDED
        return JobResult.FAILED if self.succeeded == 0 else JobResult.PARTIALLY_SUCCEEDED


def begun(new: NewJob, started: datetime) -> Job:
    """A job that starts then, with all its tasks open. Times of jobs are in milliseconds, as reports show them."""
    return Job(
        id=new.id,
        message=new.message,
        topic=new.topic,
        config_id=new.config_id,
        resolved_config_id=new.resolved_config_id,
        num_of_retry=new.num_of_retry,
        state=JobState.OPEN,
        started=in_milliseconds(started),
        completed=None,
        started_by_name=None,
        started_by_ext_id=None,
        total=new.total,
        open=new.total,
        succeeded=0,
        failed=0,
        last_settled=None,
        paused=False,
        traceparent=None,
        content_hash=new.content_hash,
        retry_of=new.retry_of,
        retry_cause=new.retry_cause,
        name=new.name,
        kind=new.kind,
    )


def in_milliseconds(moment: datetime) -> datetime:
    """What is finer is cut off."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Filters of the list of jobs; None: any.

    `started_by` is a name, ext_id or subject; `waiting` is true, false, or what the jobs wait for.
    """

    state: JobState | None = None
    result: JobResult | None = None
    message: str | None = None
    kind: JobKind | None = None
    started_by: str | None = None
    waiting: bool | WaitingFor | None = None


BY_FAILURES = "failure-threshold"
"""The name of the actor when a job pauses itself."""


class FailureThreshold(NamedTuple):
    """A job pauses itself once more than `share` of at least `min_tasks` finished tasks have failed."""

    share: float
    min_tasks: int


@dataclass(frozen=True, slots=True)
class ReportedTask:
    """A task as a report shows it."""

    position: int
    reference: Reference
    state: TaskState
    message: str | None
    trace_id: str | None
