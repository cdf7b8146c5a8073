"""What became of a reference that somebody expects to be archived, over all jobs it was submitted in."""

from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from app.domain.jobs import Reference


class ReferenceVerdict(StrEnum):
    ARCHIVED = "archived"
    OPEN = "open"
    """A job still works on it."""
    FAILED = "failed"
    NO_DATA = "no-data"
    """Its source had no data when it was last asked."""
    UNKNOWN = "unknown"
    """It was never submitted."""
    MISSING = "missing"
    """Archived, and its object cannot be had."""
    DIFFERENT = "different"
    """Archived, and its object is not what was stored."""
    UNLOCKED = "unlocked"
    """Archived, and its object could be deleted too early."""


OF_OBJECTS = (ReferenceVerdict.MISSING, ReferenceVerdict.DIFFERENT, ReferenceVerdict.UNLOCKED)
"""Verdicts that only somebody who looks at the object can give."""

WHOLE = frozenset({ReferenceVerdict.ARCHIVED, ReferenceVerdict.OPEN})
"""Nothing needs to be submitted again for these; all others are gaps."""


class Reconciled(NamedTuple):
    """`job_id` is the job that the verdict is of: the one that stored the object, else the newest one that says so."""

    reference: Reference
    verdict: ReferenceVerdict
    artifact_id: int | None = None
    job_id: UUID | None = None
