"""The proof of a job: its checkpoint, the names of its objects, and what is kept of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.domain.jobs import Job, JobKind

CONTENT_HASH, RESULT, KIND = "content-hash", "result", "kind"


@dataclass(frozen=True, slots=True)
class JobProof:
    """A proof that was made. `checkpoint` is the text of the signed note, the versions those of its objects.

    `retain_until` is the end of the locks of its objects; None: they are not locked. `timestamp` is the RFC 3161
    response for the checkpoint, where there is one.
    """

    job_id: UUID
    created_at: datetime
    size: int
    root: bytes
    checkpoint: str
    bucket: str
    checkpoint_version: str
    leaves_version: str
    retain_until: datetime | None
    timestamp: bytes | None = None


def origin_of(job_id: UUID) -> str:
    """The origin of the checkpoint, behind the name of the key."""
    return f"jobs/{job_id}"


def lines_of(job: Job) -> Sequence[str]:
    """What the checkpoint says of a completed job beside its leaves."""
    if job.result is None:
        raise ValueError(f"job {job.id} is open")
    lines = (f"{CONTENT_HASH} {job.content_hash.hex()}", f"{RESULT} {job.result}")
    return lines if job.kind is JobKind.BACKFILL else (*lines, f"{KIND} {job.kind}")


def checkpoint_key(job_id: UUID) -> str:
    return f"evidence/jobs/{job_id}/checkpoint"


def timestamp_key(job_id: UUID) -> str:
    return f"evidence/jobs/{job_id}/checkpoint.tsr"


def leaves_key(job_id: UUID) -> str:
    return f"evidence/jobs/{job_id}/leaves.ndjson.gz"
