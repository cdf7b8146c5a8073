"""Metadata runs, which bring the metadata of archived artifacts up to date, and the result of one batch."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from app.domain.audit import Actor


class RunState(StrEnum):
    OPEN = "open"
    PAUSED = "paused"
    """Shown for an open run that is paused; stored as open."""
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


class Mode(StrEnum):
    """The values that a run may write: `automatic` those that a new definition changed, the others as a person
    chose."""

    AUTOMATIC = "automatic"
    MISSING = "missing"
    FAILED = "failed"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Run:
    """A run as stored. `revision`: artifacts are brought to it. `total`, `processed`, `updated` and `failed` count
    artifacts, `nulls` values, `open` batches; `paused_seconds` are those of pauses that have ended."""

    id: UUID
    archive_type: str
    message_type: str
    config_id: str | None
    keys: tuple[str, ...]
    mode: Mode
    revision: int
    all_versions: bool
    state: RunState
    started: datetime
    completed: datetime | None
    last_settled: datetime | None
    paused_at: datetime | None
    paused_seconds: float
    started_by_name: str | None
    started_by_ext_id: str | None
    traceparent: str | None
    total: int
    batches: int
    open: int
    processed: int
    updated: int
    nulls: int
    failed: int

    @property
    def rate(self) -> float | None:
        """Artifacts per second from the start to the last batch, pauses left out."""
        if not self.processed or self.last_settled is None:
            return None
        seconds = (self.last_settled - self.started).total_seconds() - self.paused_seconds
        return round(self.processed / max(seconds, 0.001), 3)

    @property
    def progress_text(self) -> str:
        """The counts of the run in words, for the log."""
        return (
            f"{self.processed} of {self.total} processed, {self.updated} updated, {self.nulls} nulls, "
            f"{self.failed} failed"
        )


@dataclass(frozen=True, slots=True)
class BatchResult:
    """Counts of one batch: artifacts read, artifacts with a changed value, null values written, artifacts with an
    error."""

    processed: int
    updated: int
    nulls: int
    failed: int


class Starter(NamedTuple):
    """The person who starts or controls a run, and the trace that the run belongs to."""

    name: str | None
    ext_id: str | None
    traceparent: str | None = None
    subject: str | None = None
    client: str | None = None

    @property
    def actor(self) -> Actor:
        """What the audit log says of this person."""
        return Actor(self.subject, self.name, self.ext_id, self.client)


NOBODY = Starter(None, None)
"""The starter of automatic runs."""
