"""What may be submitted: the configured archive types, and the schemas of the registry."""

from dataclasses import dataclass
from datetime import datetime

from app.domain.archive_types import ArchiveTypeConfiguration


@dataclass(frozen=True, slots=True)
class KnownArchiveType:
    """`last_archived_at` is None where nothing of it has been archived."""

    configuration: ArchiveTypeConfiguration
    last_archived_at: datetime | None


@dataclass(frozen=True, slots=True)
class KnownSchema:
    """All versions of a type of the registry."""

    system: str
    name: str
    versions: tuple[int, ...]
    reference_id_type: str
    expiration_days: int


@dataclass(frozen=True, slots=True)
class KnownTypes:
    archive_types: tuple[KnownArchiveType, ...]
    schemas: tuple[KnownSchema, ...]
