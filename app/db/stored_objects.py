"""Rows of artifacts read as the stored objects that they name."""

from typing import Any

from app.db.metadata_tables import artifact
from app.domain.archive_types import SchemaName
from app.domain.artifacts import StoredObject

COLUMNS = (
    artifact.c.bucket,
    artifact.c.object_key,
    artifact.c.version_id,
    artifact.c.hash,
    artifact.c.size,
    artifact.c.content_type,
    artifact.c.system,
    artifact.c.schema_name,
    artifact.c.schema_version,
)
"""What a row must have for `stored_object`."""


def stored_object(row: Any) -> StoredObject:
    """The object of a row that has `COLUMNS`, among others."""
    schema = SchemaName(row.system, row.schema_name, row.schema_version)
    return StoredObject(row.bucket, row.object_key, row.version_id, row.hash, row.size, row.content_type, schema)
