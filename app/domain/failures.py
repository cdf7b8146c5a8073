"""The failures of a job, by cause."""

from dataclasses import dataclass
from datetime import datetime

from app.domain.jobs import Reference


@dataclass(frozen=True, slots=True)
class Example:
    """A reference that failed; `position` is its place in the submission, from 0."""

    position: int
    reference: Reference
    message: str | None
    trace_id: str | None


@dataclass(frozen=True, slots=True)
class Cause:
    """A cause (`domain.causes.cause_of`): how many references failed with it, and when the first and the last
    failed."""

    cause: str
    count: int
    first: datetime
    last: datetime
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Failures:
    """`failed` counts the failures of all causes, `others` those of causes that are not listed."""

    failed: int
    causes: tuple[Cause, ...]
    others: int
