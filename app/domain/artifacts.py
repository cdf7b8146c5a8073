"""The forms that a task's data takes: ArchiveTask, Document, Artifact, StoredArtifact. The type shows its progress."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.domain.archive_types import ArchiveDataType, SchemaName, archive_type_name
from app.domain.extraction import MetadataValue
from app.domain.identity import artifact_idempotence_id, live_artifact_idempotence_id
from app.domain.jobs import Reference, TaskId
from app.domain.live_tasks import Origin


@dataclass(frozen=True, slots=True)
class ArchiveTask:
    """A task to be archived, with the fields of its job.

    `attempts` were used up before (a task that was put back keeps them); `max_attempts` is the total of the job.
    `trace_id` is that of the reference (`domain.identity.trace_id_of`), `traceparent` the header of the command, which
    may be of another trace: a process of the release before sent that of the job. `command_id` is the idempotence id of
    the command. `origin` is there for tasks of messages. `stored` is set when an earlier try
    noted the object: only the announcement and the outcome are missing.
    """

    id: TaskId
    reference: Reference
    message: str
    config_id: str | None
    job_started: datetime
    attempts: int
    max_attempts: int
    command_id: str
    trace_id: str
    traceparent: str | None = None
    stored: "StoredArtifact | None" = None
    origin: Origin | None = None

    @property
    def process_id(self) -> str:
        """The process that the event names: that of the message, else the job."""
        process = None if self.origin is None else self.origin.process_id
        return process or str(self.id.job_id)

    def artifact_id(self, system: str, schema: str) -> str:
        """The idempotence id of the artifact; `system` and `schema` describe its document."""
        if self.origin is None:
            return artifact_idempotence_id(self.command_id)
        return live_artifact_idempotence_id(self.message, self.origin.message_id, system, schema, self.reference)


@dataclass(frozen=True, slots=True)
class Document:
    """The answer of a source. `metadata` are the `Archive-Metadata-*` headers, names in lower case without prefix."""

    content: bytes
    content_type: str
    schema: SchemaName
    metadata: tuple[tuple[str, str], ...] = ()
    bucket: str | None = None
    prefix: str | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """A checked document with everything that the object store needs.

    `user_metadata` goes into the object as it is: ASCII, already percent-encoded where the contract says so.
    """

    content: bytes
    content_type: str
    data_type: ArchiveDataType
    sha256: str
    bucket: str
    key: str
    user_metadata: dict[str, str]
    metadata: tuple[tuple[str, str], ...]
    reference_id_hash: str


@dataclass(frozen=True, slots=True)
class StoredArtifact:
    """Where the object of a task lies, and all that the event and later readers say about it.

    Kept with the task as JSON (`db.tasks`), so that a task can be announced after a crash without asking the source
    or the present configuration again.
    """

    bucket: str
    key: str
    version_id: str
    sha256: str
    size: int
    content_type: str
    system: str
    schema: str
    schema_version: int
    reference_id_type: str
    reference_id_hash: str
    expiration_days: int
    archived_at: datetime
    retain_until: datetime | None
    metadata: tuple[tuple[str, str], ...]

    @property
    def object(self) -> "StoredObject":
        schema = SchemaName(self.system, self.schema, self.schema_version)
        return StoredObject(self.bucket, self.key, self.version_id, self.sha256, self.size, self.content_type, schema)


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A stored object to be read again: its place, its SHA-256 (hex), its size in bytes, and its description."""

    bucket: str
    key: str
    version_id: str
    sha256: str
    size: int
    content_type: str
    schema: SchemaName


@dataclass(frozen=True, slots=True)
class ArchivedArtifact:
    """The row of an archived artifact: its place, its reference, and the metadata values that were extracted.

    `archive_type` names the configuration; `revision` is that of the definition that `values` were made with.
    """

    stored: StoredArtifact
    job_id: UUID
    reference: Reference
    message_type: str
    config_id: str | None
    revision: int
    values: Mapping[str, MetadataValue]

    @property
    def archive_type(self) -> str:
        return archive_type_name(self.message_type, self.config_id)
