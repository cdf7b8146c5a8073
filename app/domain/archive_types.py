"""Archive type configurations (which source a message's data comes from) and archive data types (what describes it)."""

from dataclasses import dataclass, field
from typing import NamedTuple

from typing_extensions import override

from app.domain.live_rules import LiveRule


@dataclass(frozen=True, slots=True)
class ExtractionPath:
    """A metadata key and the path its value is read from."""

    key: str
    path: str


@dataclass(frozen=True, slots=True)
class ArchiveTypeConfiguration:
    """One entry of `archiveTypes:`; remote-data when it has a `uri`, live when its messages are archived."""

    message_type: str
    topic: str
    uri: str | None = None
    oauth_client_id: str | None = None
    id: str | None = None
    metadata_extraction_paths: tuple[ExtractionPath, ...] = field(default=())
    live: LiveRule | None = None

    @property
    def name(self) -> str:
        return archive_type_name(self.message_type, self.id)

    @property
    def is_remote_data(self) -> bool:
        return self.uri is not None

    @property
    def is_live(self) -> bool:
        return self.live is not None

    @property
    def is_versioned(self) -> bool:
        return self.uri is not None and "{version}" in self.uri


def archive_type_name(message_type: str, config_id: str | None) -> str:
    """How the database names a configuration; a message type and an id together are unique."""
    return message_type if config_id is None else f"{message_type}/{config_id}"


class SchemaName(NamedTuple):
    """A schema as the source names it in its response headers, exactly."""

    system: str
    name: str
    version: int

    @override
    def __str__(self) -> str:
        return f"{self.system}/{self.name} version {self.version}"


@dataclass(frozen=True, slots=True)
class SchemaFile:
    """The schema of one version as stored beside the data: `content` with everything it refers to.

    `extension` is as in the registry: `schema.json`, `avsc` or `avpr`.
    """

    content: bytes
    extension: str
    sha256: str

    @property
    def content_type(self) -> str:
        return "application/schema+json" if self.extension == "schema.json" else "application/json"


@dataclass(frozen=True, slots=True)
class ArchiveDataType:
    """One version of an archive data type of the registry, without its compiled validator."""

    schema: SchemaName
    reference_id_type: str
    expiration_days: int
    file: SchemaFile

    @property
    def lifecycle_policy(self) -> str:
        """Value of the object tag and id of the lifecycle rule."""
        days = self.expiration_days
        return f"{self.schema.system}_{self.schema.name}_{days}_{days}"

    @property
    def schema_object_key(self) -> str:
        system, name, version = self.schema
        return f"archive-data-schema/{system}_{name}_{version}.{self.file.extension}"


LIFECYCLE_TAG = "ArchiveTypeLifecyclePolicy"
