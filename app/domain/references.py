"""What became of a reference of a job, in full; and which references of a job are wanted."""

from dataclasses import dataclass
from datetime import datetime

from app.domain.jobs import Reference, TaskState


@dataclass(frozen=True, slots=True)
class Wanted:
    """References that begin with `prefix`, are in `state`, and failed with `cause`; None: whatever it is."""

    state: TaskState | None = None
    prefix: str | None = None
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class ObjectOf:
    """Where the object of a reference lies; its artifact may be that of another job, which stored it before."""

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
    """`position` is its place in the submission, from 0. `attempts` are those that failed in a way that may pass, as
    far as its task remembers them; `no_data_count` says how often the source answered that it has nothing."""

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
