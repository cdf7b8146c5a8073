"""Entries of the audit log: what was done, to what, by whom; and their canonical JSON, whose hash is in the tree."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from app.domain.canonical_json import canonical
from app.domain.errors import Unavailable
from app.domain.merkle import leaf_hash

ORIGIN = "audit"
"""The origin of the log's checkpoints, behind the name of the key."""


AUDIT = "audit"
"""The name of the log on /health/ready."""


class BrokenHead(Unavailable):
    """The head of the log is missing, or is that of no log: no entry can be added, so no act is done."""

    public_reason = "log has no head that can be read, so no entry can be added"

    def __init__(self, finding: str) -> None:
        super().__init__(AUDIT, f"is not what it was: {finding}")
        self.finding = finding


class Act(StrEnum):
    JOB_SUBMITTED = "job.submitted"
    JOB_PAUSED = "job.paused"
    JOB_RESUMED = "job.resumed"
    JOB_CANCELLED = "job.cancelled"
    JOB_REDRIVEN = "job.redriven"
    JOB_RETRIED = "job.retried"
    JOB_COMPLETED = "job.completed"
    JOB_PROVEN = "job.proven"
    METADATA_APPLIED = "metadata.applied"
    METADATA_RUN = "metadata.run"
    ARTIFACT_READ = "artifact.read"
    SERVICE_STARTED = "service.started"


class Actor(NamedTuple):
    """Who acted, from the claims of a token; `client` is `azp`, else `client_id`."""

    subject: str | None = None
    name: str | None = None
    ext_id: str | None = None
    client: str | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """An act that is to be logged; nobody is `by` where the service itself acts."""

    what: Act
    subject: str
    at: datetime
    by: Actor | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoggedEntry:
    """An entry as it stands in the log. `hash` is what the log says, not what was computed from the rest."""

    seq: int
    at: datetime
    who: Actor | None
    what: str
    subject: str
    details: Mapping[str, Any] | None
    hash: bytes


def subject_of_job(job_id: UUID) -> str:
    return f"job/{job_id}"


def subject_of_artifact(artifact_id: int) -> str:
    return f"artifact/{artifact_id}"


def moment(at: datetime) -> str:
    """RFC 3339 in UTC, cut to milliseconds."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def leaf_of(
    seq: int, at: datetime, who: Actor | None, what: str, subject: str, details: Mapping[str, Any] | None
) -> bytes:
    """The canonical JSON (RFC 8785) of an entry, without its hash and without what is null."""
    values: dict[str, Any] = {"seq": seq, "at": moment(at), "what": what, "subject": subject}
    names = ("subject", "name", "extId", "client")
    acted = {name: value for name, value in zip(names, who or (), strict=False) if value is not None}
    if acted:
        values["who"] = acted
    if details:
        values["details"] = without_nulls(details)
    return canonical(values)


def leaf(entry: LoggedEntry) -> bytes:
    return leaf_of(entry.seq, entry.at, entry.who, entry.what, entry.subject, entry.details)


def true_hash(entry: LoggedEntry) -> bytes:
    """The hash that the entry must have."""
    return leaf_hash(leaf(entry))


def without_nulls(value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: without_nulls(each) if isinstance(each, Mapping) else each
        for name, each in value.items()
        if each is not None
    }


def shown(entry: LoggedEntry) -> dict[str, Any]:
    """An entry as the API shows it."""
    who = entry.who
    return {
        "seq": entry.seq,
        "at": moment(entry.at),
        "who": None
        if who is None
        else {"subject": who.subject, "name": who.name, "extId": who.ext_id, "client": who.client},
        "what": entry.what,
        "subject": entry.subject,
        "details": entry.details,
        "hash": b64encode(entry.hash).decode(),
    }


def checkpoint_key(size: int) -> str:
    return f"evidence/audit/{size}/checkpoint"


CHECKPOINTS = "evidence/audit/"
"""What the keys of all checkpoints begin with."""
