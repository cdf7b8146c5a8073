"""The outcome of a reference of a job in full, and the filters of a list of references."""

from dataclasses import dataclass
from datetime import datetime

from app.domain.jobs import Reference, TaskState


@dataclass(frozen=True, slots=True)
class WantedReferences:
    """Filters: the state, the beginning of the id, and the cause of the failure; None: any."""

    state: TaskState | None = None
    prefix: str | None = None
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class ObjectOf:
    """The place of the object of a reference; another job may have stored it before, and so have its artifact."""

    artifact_id: int | None
    bucket: str
    key: str
    version_id: str
    sha256: str
    size: int
    retain_until: datetime | None
    stored_at: datetime


@dataclass(frozen=True, slots=True)
class ReferenceStatus:
    """`position` is the place of the reference in the submission, from 0. `attempts` counts transient failures, as far
    as the task has kept them; `no_data_count` counts answers of the source without data."""

    position: int
    reference: Reference
    state: TaskState
    message: str | None
    cause: str | None
    trace_id: str | None
    attempts: int
    published_at: datetime | None
    no_data_count: int
    no_data_at: datetime | None
    finished_at: datetime | None
    object: ObjectOf | None
