"""What failed in a job, by cause."""

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
    """A cause (`domain.causes.cause_of`), how many references failed of it, and when the first and the last did."""

    cause: str
    count: int
    first: datetime
    last: datetime
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Failures:
    """`failed` of all causes; `others` of those that are not listed."""

    failed: int
    causes: tuple[Cause, ...]
    others: int
