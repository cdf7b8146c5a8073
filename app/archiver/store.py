"""Stores one object version per task, however often the task is tried (contract, "One effect"): conditional puts."""

import asyncio
import contextlib
import random
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from urllib.parse import unquote

from app.archiver.describe import RESERVED
from app.domain.archive_types import LIFECYCLE_TAG
from app.domain.artifacts import ArchiveTask, Artifact, StoredArtifact
from app.domain.errors import STEP_STORE, PermanentFailure, Unavailable, task_message
from app.domain.readiness import OBJECT_STORE
from app.objectstore import ListedVersion, ObjectRejected, ObjectStore, ObjectVersion, PreconditionFailed, Upload
from app.objectstore.contents import digest_of, is_shown_to_hold
from app.telemetry import metrics

TRIES = 10
"""Conditional puts of one key that are refused in a row, though nothing changed, before the store counts as
unavailable."""

CLOCKS = timedelta(hours=1)
"""How far the clock of the store may be behind ours (S3 itself refuses requests beyond 15 minutes): what it dates
before the job's start by more is not the job's."""

_VERSION = re.compile(r"[1-9][0-9]{0,8}")


async def store(
    objects: ObjectStore, artifact: Artifact, task: ArchiveTask, *, locks: bool, again: bool = False
) -> StoredArtifact:
    """Stores the artifact, or finds the version that an earlier try or an equal document left. May be repeated.

    After a 412 there are three cases. A version with this `job-id` is the result (with this `idempotence-id`, for the
    task of a message: its job may have several tasks of one reference). Else a version with the same hash is the
    result; when its lock ends before the day that this job requires, the lock is lengthened. Else a new version is put,
    on the condition that the current version has not changed since.

    `locks` says whether objects are locked. `again`: the try before ended in an outage. A store that crashed between
    the version and the note that it is the current one (SeaweedFS) would take a second one, so all versions are looked
    at first. Raises PermanentFailure, Unavailable.
    """
    upload = Upload(
        bucket=artifact.bucket,
        key=artifact.key,
        content=artifact.content,
        content_type=artifact.content_type,
        sha256=artifact.sha256,
        user_metadata=artifact.user_metadata,
        retain_days=artifact.data_type.expiration_days if locks else None,
        tag=(LIFECYCLE_TAG, artifact.data_type.lifecycle_policy),
    )
    strangers, tries, refused = set[str](), 0, 0
    try:
        while refused < TRIES:
            try:
                if not again:
                    return _described(await _put(objects, upload), artifact)
            except PreconditionFailed:
                pass
            again = False
            found, condition = await _look(objects, artifact, task, strangers)
            if found is not None and (held := await _locked(objects, found, artifact, task, locks=locks)) is not None:
                return _described(held, artifact)
            refused = refused + 1 if condition == upload.if_match else 1  # another version: somebody else was faster
            upload = replace(upload, if_match=condition)
            await asyncio.sleep(random.uniform(0, 0.05) * min(tries, TRIES))
            tries += 1
    except ObjectRejected as rejected:
        raise PermanentFailure(task_message(STEP_STORE, rejected.cause)) from rejected
    raise Unavailable(OBJECT_STORE, f"{TRIES} conditional puts of one key in a row were refused")


async def _put(objects: ObjectStore, upload: Upload) -> ObjectVersion:
    started, outcome = monotonic(), metrics.PUT_FAILED
    try:
        version = await objects.put(upload)
        outcome = metrics.PUT_CREATED
    except PreconditionFailed:
        outcome = metrics.PUT_EXISTED
        raise
    finally:
        outcome.observe(monotonic() - started)
    metrics.BYTES_STORED.inc(len(upload.content))
    return version


async def _look(
    objects: ObjectStore, artifact: Artifact, task: ArchiveTask, strangers: set[str]
) -> tuple[ObjectVersion | None, str | None]:
    """The version that is the result, if any, and the ETag of the current version (None: the key has no object).

    `strangers` are ids of versions that were looked at before, and are no result; more are added.
    """
    current = await objects.head(artifact.bucket, artifact.key)
    if current is not None and (own := await _own(objects, current, artifact, task)) is not None:
        return own, None
    size, since = len(artifact.content), task.job_started - CLOCKS

    def may_be_the_result(listed: ListedVersion) -> bool:
        return listed.version_id not in strangers and (listed.size == size or listed.last_modified >= since)

    versions = await objects.versions(artifact.bucket, artifact.key, may_be_the_result)
    for version in versions:
        if (own := await _own(objects, version, artifact, task)) is not None:
            return own, None
    for version in versions:
        if await _is_equal(objects, version, artifact):
            return version, None
    strangers.update(version.version_id for version in versions)
    return None, None if current is None else current.etag


async def _own(
    objects: ObjectStore, version: ObjectVersion, artifact: Artifact, task: ArchiveTask
) -> ObjectVersion | None:
    """The version with the hash of its content, if this task left it; None else, or where it is gone.

    Who may write to the bucket can write any metadata, so nobody's hash is believed: that of the document in memory is
    shown by the ETag, and of another document, fetched before a crash, by what is read back. Raises Unavailable.
    """
    if not _is_of(version, artifact, task):
        return None
    said, sha256 = version.user_metadata.get("hash"), artifact.sha256
    if not is_shown_to_hold(version, artifact.content):
        try:
            sha256, _ = await digest_of(objects, version.bucket, version.key, version.version_id)
        except FileNotFoundError:
            return None
    if said not in (None, sha256):
        return None
    return replace(version, user_metadata={**version.user_metadata, "hash": sha256})


async def _is_equal(objects: ObjectStore, version: ObjectVersion, artifact: Artifact) -> bool:
    """Whether the version says that it has the hash of the document, and does have it.

    False too where it is gone or is not given, and where some may remove its lock though new ones are locked for all:
    then a new version is put.
    """
    if version.user_metadata.get("hash") != artifact.sha256 or version.size != len(artifact.content):
        return False
    if version.lock_mode == "GOVERNANCE" and objects.lock_mode == "COMPLIANCE":
        return False
    if is_shown_to_hold(version, artifact.content):
        return True
    with contextlib.suppress(FileNotFoundError, Unavailable):
        sha256, _ = await digest_of(objects, version.bucket, version.key, version.version_id)
        return sha256 == artifact.sha256
    return False


def _is_of(version: ObjectVersion, artifact: Artifact, task: ArchiveTask) -> bool:
    """Whether this task left the version.

    The key follows from the reference, and still the reference is compared: an answer of the store to another request
    must not become the result.
    """
    metadata, wanted = version.user_metadata, artifact.user_metadata
    same = all(metadata.get(name) == wanted.get(name) for name in ("reference-id", "reference-id-hash", "version"))
    own = "job-id" if task.origin is None else "idempotence-id"
    return same and metadata.get(own) == wanted[own]


async def _locked(
    objects: ObjectStore, found: ObjectVersion, artifact: Artifact, task: ArchiveTask, *, locks: bool
) -> ObjectVersion | None:
    """The version that was found, its lock lengthened when it ends before the retention, which counts from the job's
    start.

    None when the version was removed meanwhile.
    """
    if not locks:
        return found
    retention = timedelta(days=artifact.data_type.expiration_days)
    if found.retain_until is not None and found.retain_until >= task.job_started.replace(microsecond=0) + retention:
        return found
    until = (datetime.now(UTC) + retention).replace(microsecond=0)
    try:
        await objects.lengthen_lock(found.bucket, found.key, found.version_id, until)
    except PreconditionFailed:
        return None
    return replace(found, retain_until=until)


def _described(version: ObjectVersion, artifact: Artifact) -> StoredArtifact:
    """The stored object as its own metadata describes it: after a crash it may differ from the document fetched now.

    Metadata of others may be anything: what cannot be is passed over.
    """
    metadata = version.user_metadata
    data_type = artifact.data_type
    schema_version = metadata.get("schema-version", "")
    return StoredArtifact(
        bucket=version.bucket,
        key=version.key,
        version_id=version.version_id,
        sha256=metadata.get("hash", artifact.sha256),
        size=version.size,
        content_type=metadata.get("content-type", artifact.content_type),
        system=data_type.schema.system,
        schema=data_type.schema.name,
        schema_version=int(schema_version) if _VERSION.fullmatch(schema_version) else data_type.schema.version,
        reference_id_type=data_type.reference_id_type,
        reference_id_hash=artifact.reference_id_hash,
        expiration_days=data_type.expiration_days,
        archived_at=version.last_modified,
        retain_until=version.retain_until,
        metadata=tuple((name, _unquoted(value)) for name, value in metadata.items() if name not in RESERVED),
    )


def _unquoted(value: str) -> str:
    text = unquote(value)
    return value if "\0" in text else text
