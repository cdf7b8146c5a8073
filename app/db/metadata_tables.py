"""The tables of artifacts, their metadata, and the runs that bring it up to date."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    String,
    Table,
    Text,
    Uuid,
    text,
)

from app.db.tables import LEASED, OUTSTANDING, WAITING, UtcDateTime, metadata

Id = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts only an INTEGER PRIMARY KEY up by itself."""

Number = Numeric(asdecimal=False).with_variant(Float(53), "sqlite")
"""Exact on PostgreSQL; a double on SQLite, which has nothing better."""

artifact = Table(
    "artifact",
    metadata,
    Column("id", Id, primary_key=True, comment="grows: what was archived later has a higher one"),
    Column("archive_type", Text, nullable=False, comment="message type, and /config id where it has one"),
    Column("message_type", Text, nullable=False),
    Column("config_id", Text),
    Column("reference_id", Text, nullable=False),
    Column("reference_version", Integer),
    Column("reference_key", Uuid, nullable=False, comment="16 bytes of domain.identity.reference_key"),
    Column("system", Text, nullable=False),
    Column("schema_name", Text, nullable=False),
    Column("schema_version", Integer, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False, comment="SHA-256, hex"),
    Column("bucket", Text, nullable=False),
    Column("object_key", Text, nullable=False),
    Column("version_id", Text, nullable=False),
    Column("archived_at", UtcDateTime, nullable=False),
    Column("retain_until", UtcDateTime),
    Column("job_id", Uuid, nullable=False),
    Column("revision", Integer, nullable=False, comment="of the definition that its metadata was made with"),
    Column("superseded", Boolean, nullable=False, comment="a newer object of the same id and version is stored"),
)
CURRENT = "NOT superseded"
"""The newest of an id and version. Said in these very words: PostgreSQL does not see that `IS false` is the same."""

Index("uq_artifact_object", artifact.c.bucket, artifact.c.object_key, artifact.c.version_id, unique=True)
Index(
    "uq_artifact_current",
    artifact.c.archive_type,
    artifact.c.reference_key,
    unique=True,
    postgresql_where=text(CURRENT),
    sqlite_where=text(CURRENT),
)
Index("ix_artifact_revision", artifact.c.archive_type, artifact.c.revision, artifact.c.id)
Index("ix_artifact_archive_type", artifact.c.archive_type, artifact.c.id)
Index("ix_artifact_reference", artifact.c.reference_id, artifact.c.id)
Index("ix_artifact_schema", artifact.c.system, artifact.c.schema_name, artifact.c.id)
Index("ix_artifact_job", artifact.c.job_id)

value = Table(
    "artifact_metadata",
    metadata,
    Column("artifact_id", Id, ForeignKey(artifact.c.id, ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("revision", Integer, nullable=False, comment="of the definition that it was made with"),
    Column("json", Text, nullable=False, comment="the value, exactly; null where the data has none"),
    Column("kind", String(8), nullable=False, comment="text, number, boolean, json or null"),
    Column("text", Text, comment="for eq and contains"),
    Column("text_head", String(200), comment="beginning of the text, for the index"),
    Column("number", Number, comment="for comparison as a number"),
)
for name, indexed in (("text", value.c.text_head), ("number", value.c.number)):
    Index(
        f"ix_artifact_metadata_{name}",
        value.c.key,
        indexed,
        value.c.artifact_id,
        postgresql_where=indexed.is_not(None),
        sqlite_where=indexed.is_not(None),
    )

definition = Table(
    "metadata_definition",
    metadata,
    Column("archive_type", Text, primary_key=True),
    Column("message_type", Text, nullable=False),
    Column("config_id", Text),
    Column("revision", Integer, nullable=False, comment="counts the changes of its keys"),
    Column("applied_at", UtcDateTime, nullable=False),
)

column = Table(
    "metadata_key",
    metadata,
    Column("archive_type", Text, ForeignKey(definition.c.archive_type, ondelete="CASCADE"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("path", Text, nullable=False),
    Column("path_revision", Integer, nullable=False, comment="since when it has this path: older values are stale"),
    Column("active", Boolean, nullable=False, comment="false once it was removed; its values stay"),
    Column("place", Integer, nullable=False, comment="order in the configuration"),
)

run = Table(
    "metadata_run",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("archive_type", Text, nullable=False),
    Column("message_type", Text, nullable=False),
    Column("config_id", Text),
    Column("keys", Text, nullable=False, comment="JSON list of the keys it is about"),
    Column("mode", String(16), nullable=False, comment="automatic, or as asked for: missing, failed, all"),
    Column("revision", Integer, nullable=False, comment="it brings artifacts of an older one to this"),
    Column("all_versions", Boolean, nullable=False),
    Column("state", String(16), nullable=False, comment="open, completed, cancelled, superseded"),
    Column("paused", Boolean, nullable=False, server_default=text("false")),
    Column("paused_at", UtcDateTime),
    Column("paused_seconds", Float(53), nullable=False, server_default=text("0")),
    Column("held_until", UtcDateTime),
    Column("relayed_at", UtcDateTime),
    Column("started", UtcDateTime, nullable=False),
    Column("completed", UtcDateTime),
    Column("last_settled", UtcDateTime),
    Column("started_by_name", Text),
    Column("started_by_ext_id", Text),
    Column("traceparent", String(55)),
    Column("planned_to", Id, nullable=False, comment="the highest artifact that its batches cover"),
    Column("total", Integer, nullable=False),
    Column("batches", Integer, nullable=False),
    Column("open", Integer, nullable=False, comment="batches"),
    Column("processed", Integer, nullable=False, server_default=text("0")),
    Column("updated", Integer, nullable=False, server_default=text("0")),
    Column("nulls", Integer, nullable=False, server_default=text("0")),
    Column("failed", Integer, nullable=False, server_default=text("0")),
    CheckConstraint("open >= 0", name="run_counters"),
)
Index(
    "uq_metadata_run_automatic",
    run.c.archive_type,
    unique=True,
    postgresql_where=text("state = 'open' AND mode = 'automatic'"),
    sqlite_where=text("state = 'open' AND mode = 'automatic'"),
)
Index("ix_metadata_run_started", run.c.started)

batch = Table(
    "metadata_batch",
    metadata,
    Column("run_id", Uuid, ForeignKey(run.c.id, ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False, comment="from 0"),
    Column("after_id", Id, nullable=False, comment="its artifacts are behind this"),
    Column("to_id", Id, nullable=False, comment="and not behind this"),
    Column("state", String(16), nullable=False, server_default=text("'open'")),
    Column("claimed_until", UtcDateTime),
    Column("published_at", UtcDateTime),
    Column("not_before", UtcDateTime),
    Column("answered", Boolean, nullable=False, server_default=text("false")),
)
for name, condition in (("waiting", WAITING), ("leased", LEASED), ("outstanding", OUTSTANDING)):
    Index(
        f"ix_metadata_batch_{name}",
        batch.c.run_id,
        batch.c.position,
        postgresql_where=text(condition),
        sqlite_where=text(condition),
    )

error = Table(
    "metadata_error",
    metadata,
    Column("run_id", Uuid, ForeignKey(run.c.id, ondelete="CASCADE"), primary_key=True),
    Column("artifact_id", Id, ForeignKey(artifact.c.id, ondelete="CASCADE"), primary_key=True),
    Column("message", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("resolved", Boolean, nullable=False, server_default=text("false"), comment="a later run read the artifact"),
)
Index("ix_metadata_error_artifact", error.c.artifact_id)
