"""Makes an artifact of a checked document: bucket, key, user metadata, hash. Pure functions."""

import hashlib
from dataclasses import dataclass

from app.domain.archive_types import ArchiveDataType
from app.domain.artifacts import ArchiveTask, Artifact, Document
from app.domain.errors import STEP_READ, STEP_STORE, PermanentFailure, task_message
from app.domain.identity import hash_of_text, object_key, percent_encode, prefix_of

MAX_USER_METADATA = 2048
"""Bytes of names and values that S3 takes."""

MAX_REFERENCE_ID = 1024
"""Bytes of an encoded id; a longer one would leave no room for the rest."""

RESERVED = frozenset(
    {
        "content-type",
        "system",
        "schema",
        "schema-version",
        "reference-id",
        "reference-id-hash",
        "version",
        "job-id",
        "hash",
        "schema-file-key",
        "schema-file-version-id",
        "idempotence-id",
    }
)
"""Names of user metadata that the service writes itself."""


@dataclass(frozen=True, slots=True)
class Target:
    """The buckets and prefixes for objects, and which of them a source may choose by header."""

    bucket: str
    prefix_mode: str = "NONE"
    allowed_buckets: frozenset[str] = frozenset()
    allowed_prefixes: frozenset[str] = frozenset()

    @property
    def buckets(self) -> tuple[str, ...]:
        """Every bucket in which objects may be stored."""
        return (self.bucket, *sorted(self.allowed_buckets - {self.bucket}))


def bucket_of(document: Document, target: Target) -> str:
    """The bucket for a document. Raises PermanentFailure for a bucket that the settings do not allow."""
    if document.bucket is None or document.bucket == target.bucket:
        return target.bucket
    if document.bucket not in target.allowed_buckets:
        raise PermanentFailure(
            task_message(
                STEP_READ, f"header Archive-Storage-Bucket names a bucket not allowed: {_quoted(document.bucket)}"
            )
        )
    return document.bucket


def describe(
    document: Document, task: ArchiveTask, data_type: ArchiveDataType, target: Target, schema_version_id: str
) -> Artifact:
    """All that the object store needs; `schema_version_id` is the version id of the schema object beside the data.

    Raises PermanentFailure when a header asks for something that is not allowed, or the metadata does not fit into an
    object.
    """
    reference = task.reference
    id_hash = hash_of_text(reference.id, data_type.reference_id_type)
    system, schema, schema_version = document.schema
    digest = hashlib.sha256(document.content).hexdigest()
    encoded_id = percent_encode(reference.id)
    user_metadata = {
        "content-type": document.content_type,
        "system": system,
        "schema": schema,
        "schema-version": str(schema_version),
        "job-id": str(task.id.job_id),
        "hash": digest,
        "schema-file-key": data_type.schema_object_key,
        "schema-file-version-id": schema_version_id,
    }
    if len(encoded_id) <= MAX_REFERENCE_ID:
        user_metadata["reference-id"] = encoded_id
    else:
        user_metadata["reference-id-hash"] = id_hash
    if reference.version is not None:
        user_metadata["version"] = str(reference.version)
    if task.origin is not None:
        user_metadata["idempotence-id"] = percent_encode(task.artifact_id(system, schema))
    _add_custom(user_metadata, document.metadata)
    prefix = _prefix(document, task, target)
    return Artifact(
        content=document.content,
        content_type=document.content_type,
        data_type=data_type,
        sha256=digest,
        bucket=bucket_of(document, target),
        key=object_key(prefix, system, schema, id_hash, reference.version),
        user_metadata=user_metadata,
        metadata=document.metadata,
        reference_id_hash=id_hash,
    )


def _add_custom(user_metadata: dict[str, str], custom: tuple[tuple[str, str], ...]) -> None:
    for name, value in custom:
        if name in RESERVED:
            raise PermanentFailure(
                task_message(STEP_STORE, f"the custom metadata name {name} is kept for the archive itself")
            )
        user_metadata[name] = percent_encode(value)
    size = sum(len(name) + len(value) for name, value in user_metadata.items())
    if size > MAX_USER_METADATA:
        raise PermanentFailure(
            task_message(
                STEP_STORE,
                f"the custom metadata does not fit: {size} bytes with the archive's own, "
                f"an object takes {MAX_USER_METADATA}",
            )
        )


def _prefix(document: Document, task: ArchiveTask, target: Target) -> str:
    """The day in the prefix is the day on which the job started: a retry on another day finds the same key."""
    if document.prefix is None:
        return prefix_of(target.prefix_mode, task.job_started)
    prefix = document.prefix.rstrip("/")
    if prefix not in target.allowed_prefixes:
        raise PermanentFailure(
            task_message(
                STEP_READ, f"header Archive-Storage-Prefix names a prefix not allowed: {_quoted(document.prefix)}"
            )
        )
    return f"{prefix}/"


def _quoted(name: str) -> str:
    """The text in quotes, at most 100 characters of it.

    Failures that differ only between the quotes count as one cause.
    """
    shown = "".join(letter if letter.isprintable() else "?" for letter in name[:100])
    return f'"{shown}{"…" if len(name) > 100 else ""}"'
