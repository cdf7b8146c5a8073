"""Compares the database's description of an object with the stored object: each difference is a finding. Pure."""

from datetime import datetime, timedelta

from app.db.verify import DamagedTask, StoredTask
from app.domain.archive_types import SchemaName
from app.domain.artifacts import StoredArtifact
from app.domain.identity import hash_of_text, percent_encode
from app.objectstore import ObjectVersion
from app.verify.findings import Difference, Finding, FindingKind
from app.verify.read_back import ReadVersion, SchemaProblem, UnreadableVersion

NOTHING = "nothing"


def compare(task: StoredTask, seen: ReadVersion | UnreadableVersion | None, lock_mode: str | None) -> list[Finding]:
    """At most one finding of each kind. `lock_mode` is that of the settings, None where locking is off.

    Faults of the schema file are left out: many objects share it.
    """
    stored = task.stored
    if seen is None:
        return [finding(task, FindingKind.MISSING, Difference("object", f"{stored.size} bytes", NOTHING))]
    if isinstance(seen, UnreadableVersion):
        return [finding(task, FindingKind.UNREADABLE, Difference("object", f"{stored.size} bytes", seen.reason))]
    found = []
    if differences := [
        *_content(stored, seen),
        *_names(task),
        *_metadata(task, seen.version),
        *_schema(seen.version),
        *_row(task),
    ]:
        found.append(finding(task, FindingKind.DIFFERENT, *differences))
    if differences := _lock(stored, seen.version, lock_mode):
        found.append(finding(task, FindingKind.UNLOCKED, *differences))
    return found


def damaged(task: DamagedTask) -> Finding:
    return Finding(
        kind=FindingKind.DIFFERENT,
        job=str(task.id.job_id),
        reference=task.reference.id,
        version=task.reference.version,
        bucket=None,
        key=None,
        version_id=None,
        differences=(Difference("row of the task", "where its object lies", "something else"),),
    )


def damaged_schema(problem: SchemaProblem, objects: int) -> Finding:
    """One finding for all the objects that name the file."""
    return Finding(
        kind=FindingKind.DIFFERENT,
        job=None,
        reference=None,
        version=None,
        bucket=problem.bucket,
        key=problem.key,
        version_id=problem.version_id,
        differences=(Difference("schema file", "as it was stored", problem.found),),
        objects=objects,
    )


def may_be_gone(stored: StoredArtifact, now: datetime) -> bool:
    """Whether the object may be gone: the lifecycle rule removes objects once their retention is over."""
    return now >= max(stored.retain_until or stored.archived_at, _due(stored))


def finding(task: StoredTask, kind: FindingKind, *differences: Difference) -> Finding:
    stored, reference = task.stored, task.reference
    return Finding(
        kind=kind,
        job=str(task.id.job_id),
        reference=reference.id,
        version=reference.version,
        bucket=stored.bucket,
        key=stored.key,
        version_id=stored.version_id,
        differences=differences,
    )


def _content(stored: StoredArtifact, seen: ReadVersion) -> list[Difference]:
    found = []
    if seen.size != stored.size:
        found.append(Difference("size", str(stored.size), str(seen.size)))
    if seen.sha256 != stored.sha256:
        found.append(Difference("sha256", stored.sha256, seen.sha256))
    return found


def _names(task: StoredTask) -> list[Difference]:
    """Compares key and reference, as the key follows from the reference: finds a row that names another reference's
    object."""
    stored, reference = task.stored, task.reference
    id_hash = hash_of_text(reference.id, stored.reference_id_type)
    end = f"{stored.system}/{stored.schema}/{id_hash[:2]}/{id_hash}/v{reference.version or 0}"
    if f"/{stored.key}".endswith(f"/{end}"):
        return []
    return [Difference("key", f"…/{end}", stored.key)]


def _metadata(task: StoredTask, version: ObjectVersion) -> list[Difference]:
    """Differences of the metadata. `job-id` is left out: an object of another job with the same content serves this job
    too."""
    stored, reference = task.stored, task.reference
    expected = {
        "hash": stored.sha256,
        "content-type": stored.content_type,
        "system": stored.system,
        "schema": stored.schema,
        "schema-version": str(stored.schema_version),
        **{name: percent_encode(value) for name, value in stored.metadata},
    }
    if "reference-id" in version.user_metadata:
        expected["reference-id"] = percent_encode(reference.id)
    else:  # too long to be there itself
        expected["reference-id-hash"] = stored.reference_id_hash
    if reference.version is not None:
        expected["version"] = str(reference.version)
    metadata = version.user_metadata
    return [
        Difference(f"metadata {name}", value, metadata.get(name, NOTHING))
        for name, value in expected.items()
        if metadata.get(name, "") != value  # stores leave out what is empty
    ]


def _schema(version: ObjectVersion) -> list[Difference]:
    """Faults of the file itself are one finding for all its objects: `damaged_schema`."""
    if {"schema-file-key", "schema-file-version-id"} <= version.user_metadata.keys():
        return []
    return [Difference("schema file", "one that the object names", NOTHING)]


def _row(task: StoredTask) -> list[Difference]:
    """Differences of the row that a search shows. A later job may have lengthened the lock, never shortened it."""
    stored, row = task.stored, task.row
    if row is None:
        return [Difference("row of the artifact", "one", NOTHING)] if task.recorded else []
    schema = SchemaName(stored.system, stored.schema, stored.schema_version)
    expected: dict[str, tuple[object, object]] = {
        "sha256": (stored.sha256, row.sha256),
        "size": (stored.size, row.size),
        "content type": (stored.content_type, row.content_type),
        "schema": (schema, row.schema),
    }
    found = [
        Difference(f"row of the artifact: {what}", str(ours), str(its))
        for what, (ours, its) in expected.items()
        if ours != its
    ]
    until = stored.retain_until
    if task.recorded and until is not None and (row.retain_until is None or row.retain_until < until):
        its = NOTHING if row.retain_until is None else f"until {_time(row.retain_until)}"
        found.append(Difference("row of the artifact: lock", f"until {_time(until)}", its))
    return found


def _lock(stored: StoredArtifact, version: ObjectVersion, lock_mode: str | None) -> list[Difference]:
    """Checks the lock that the database promises; an object stored while locking was off must have its days once
    locking is on."""
    until = stored.retain_until
    if until is None:
        if lock_mode is None:
            return []
        until = _due(stored)
    if version.retain_until is None:
        return [Difference("lock", f"until {_time(until)}", NOTHING)]
    found = []
    if version.retain_until < until:
        found.append(Difference("lock", f"until {_time(until)}", f"until {_time(version.retain_until)}"))
    if lock_mode == "COMPLIANCE" and version.lock_mode not in (None, lock_mode):
        found.append(Difference("lock mode", lock_mode, str(version.lock_mode)))
    return found


def _due(stored: StoredArtifact) -> datetime:
    return stored.archived_at + timedelta(days=stored.expiration_days)


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
