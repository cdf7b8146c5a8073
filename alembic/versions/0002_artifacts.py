"""Artifacts in the database, their metadata and the runs that bring it up to date.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa

from alembic import op
from app.db.tables import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

Number = sa.Numeric(asdecimal=False).with_variant(sa.Float(53), "sqlite")

ADOPT = """
INSERT INTO artifact (archive_type, message_type, config_id, reference_id, reference_version, reference_key, system,
    schema_name, schema_version, content_type, size, hash, bucket, object_key, version_id, archived_at, retain_until,
    job_id, revision, superseded)
WITH told AS (
    SELECT j.message || coalesce('/' || j.resolved_config_id, '') AS archive_type, j.message AS message_type,
        j.resolved_config_id AS config_id, t.reference_id, t.reference_version, t.reference_key, t.job_id, t.position,
        j.started, {columns}
    FROM backfill_task t JOIN backfill_job j ON j.id = t.job_id
    WHERE t.state = 'succeeded' AND t.stored IS NOT NULL
), objects AS (
    SELECT told.*,
        row_number() OVER (PARTITION BY bucket, object_key, version_id ORDER BY started, job_id, position) AS place
    FROM told
), newest AS (
    SELECT objects.*, row_number() OVER (
        PARTITION BY archive_type, reference_key ORDER BY archived_at DESC, started DESC, job_id DESC) AS age
    FROM objects WHERE place = 1
)
SELECT archive_type, message_type, config_id, reference_id, reference_version, reference_key, system, schema_name,
    schema_version, content_type, size, hash, bucket, object_key, version_id, archived_at, retain_until, job_id, 0,
    age > 1
FROM newest ORDER BY archived_at, job_id, position
"""
"""What was archived before: one row per stored object, of revision 0, so that the first definition backfills it."""

FIELDS = {
    "system": "system",
    "schema_name": "schema",
    "schema_version": "schema_version",
    "content_type": "content_type",
    "size": "size",
    "hash": "sha256",
    "bucket": "bucket",
    "object_key": "key",
    "version_id": "version_id",
    "archived_at": "archived_at",
    "retain_until": "retain_until",
}
"""Column: field of the JSON that the task remembers its object by."""


def upgrade() -> None:
    op.create_table(
        "artifact",
        sa.Column("id", Id, nullable=False, comment="grows: what was archived later has a higher one"),
        sa.Column("archive_type", sa.Text(), nullable=False, comment="message type, and /config id where it has one"),
        sa.Column("message_type", sa.Text(), nullable=False),
        sa.Column("config_id", sa.Text(), nullable=True),
        sa.Column("reference_id", sa.Text(), nullable=False),
        sa.Column("reference_version", sa.Integer(), nullable=True),
        sa.Column("reference_key", sa.Uuid(), nullable=False, comment="16 bytes of domain.identity.reference_key"),
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("schema_name", sa.Text(), nullable=False),
        sa.Column("schema_version", sa.Integer(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False, comment="SHA-256, hex"),
        sa.Column("bucket", sa.Text(), nullable=False),
        sa.Column("object_key", sa.Text(), nullable=False),
        sa.Column("version_id", sa.Text(), nullable=False),
        sa.Column("archived_at", UtcDateTime, nullable=False),
        sa.Column("retain_until", UtcDateTime, nullable=True),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column(
            "revision", sa.Integer(), nullable=False, comment="of the definition that its metadata was made with"
        ),
        sa.Column(
            "superseded", sa.Boolean(), nullable=False, comment="a newer object of the same id and version is stored"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_artifact")),
    )
    op.create_index("ix_artifact_archive_type", "artifact", ["archive_type", "id"], unique=False)
    op.create_index("ix_artifact_job", "artifact", ["job_id"], unique=False)
    op.create_index("ix_artifact_reference", "artifact", ["reference_id", "id"], unique=False)
    op.create_index("ix_artifact_revision", "artifact", ["archive_type", "revision", "id"], unique=False)
    op.create_index("ix_artifact_schema", "artifact", ["system", "schema_name", "id"], unique=False)
    op.create_index(
        "uq_artifact_current",
        "artifact",
        ["archive_type", "reference_key"],
        unique=True,
        postgresql_where=sa.text("NOT superseded"),
        sqlite_where=sa.text("NOT superseded"),
    )
    op.create_index("uq_artifact_object", "artifact", ["bucket", "object_key", "version_id"], unique=True)
    op.create_table(
        "metadata_definition",
        sa.Column("archive_type", sa.Text(), nullable=False),
        sa.Column("message_type", sa.Text(), nullable=False),
        sa.Column("config_id", sa.Text(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False, comment="counts the changes of its keys"),
        sa.Column("applied_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("archive_type", name=op.f("pk_metadata_definition")),
    )
    op.create_table(
        "metadata_run",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("archive_type", sa.Text(), nullable=False),
        sa.Column("message_type", sa.Text(), nullable=False),
        sa.Column("config_id", sa.Text(), nullable=True),
        sa.Column("keys", sa.Text(), nullable=False, comment="JSON list of the keys it is about"),
        sa.Column(
            "mode", sa.String(length=16), nullable=False, comment="automatic, or as asked for: missing, failed, all"
        ),
        sa.Column("revision", sa.Integer(), nullable=False, comment="it brings artifacts of an older one to this"),
        sa.Column("all_versions", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False, comment="open, completed, cancelled, superseded"),
        sa.Column("paused", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("held_until", UtcDateTime, nullable=True),
        sa.Column("relayed_at", UtcDateTime, nullable=True),
        sa.Column("started", UtcDateTime, nullable=False),
        sa.Column("completed", UtcDateTime, nullable=True),
        sa.Column("last_settled", UtcDateTime, nullable=True),
        sa.Column("started_by_name", sa.Text(), nullable=True),
        sa.Column("started_by_ext_id", sa.Text(), nullable=True),
        sa.Column("traceparent", sa.String(length=55), nullable=True),
        sa.Column("planned_to", Id, nullable=False, comment="the highest artifact that its batches cover"),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("batches", sa.Integer(), nullable=False),
        sa.Column("open", sa.Integer(), nullable=False, comment="batches"),
        sa.Column("processed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("updated", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("nulls", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("failed", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("open >= 0", name="run_counters"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_metadata_run")),
    )
    op.create_index("ix_metadata_run_started", "metadata_run", ["started"], unique=False)
    op.create_index(
        "uq_metadata_run_automatic",
        "metadata_run",
        ["archive_type"],
        unique=True,
        postgresql_where=sa.text("state = 'open' AND mode = 'automatic'"),
        sqlite_where=sa.text("state = 'open' AND mode = 'automatic'"),
    )
    op.create_table(
        "artifact_metadata",
        sa.Column("artifact_id", Id, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False, comment="of the definition that it was made with"),
        sa.Column("json", sa.Text(), nullable=False, comment="the value, exactly; null where the data has none"),
        sa.Column("kind", sa.String(length=8), nullable=False, comment="text, number, boolean, json or null"),
        sa.Column("text", sa.Text(), nullable=True, comment="for eq and contains"),
        sa.Column("text_head", sa.String(length=200), nullable=True, comment="beginning of the text, for the index"),
        sa.Column("number", Number, nullable=True, comment="for comparison as a number"),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifact.id"], name=op.f("fk_artifact_metadata_artifact_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("artifact_id", "key", name=op.f("pk_artifact_metadata")),
    )
    op.create_index("ix_artifact_metadata_number", "artifact_metadata", ["key", "number", "artifact_id"], unique=False)
    op.create_index("ix_artifact_metadata_text", "artifact_metadata", ["key", "text_head", "artifact_id"], unique=False)
    op.create_table(
        "metadata_batch",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False, comment="from 0"),
        sa.Column("after_id", Id, nullable=False, comment="its artifacts are behind this"),
        sa.Column("to_id", Id, nullable=False, comment="and not behind this"),
        sa.Column("state", sa.String(length=16), server_default=sa.text("'open'"), nullable=False),
        sa.Column("claimed_until", UtcDateTime, nullable=True),
        sa.Column("published_at", UtcDateTime, nullable=True),
        sa.Column("not_before", UtcDateTime, nullable=True),
        sa.Column("answered", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.ForeignKeyConstraint(
            ["run_id"], ["metadata_run.id"], name=op.f("fk_metadata_batch_run_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "position", name=op.f("pk_metadata_batch")),
    )
    op.create_index(
        "ix_metadata_batch_outstanding",
        "metadata_batch",
        ["run_id", "position"],
        unique=False,
        postgresql_where=sa.text("state = 'open' AND published_at IS NOT NULL AND NOT answered"),
        sqlite_where=sa.text("state = 'open' AND published_at IS NOT NULL AND NOT answered"),
    )
    op.create_index(
        "ix_metadata_batch_waiting",
        "metadata_batch",
        ["run_id", "position"],
        unique=False,
        postgresql_where=sa.text("state = 'open' AND published_at IS NULL"),
        sqlite_where=sa.text("state = 'open' AND published_at IS NULL"),
    )
    op.create_index(
        "ix_metadata_batch_leased",
        "metadata_batch",
        ["run_id", "position"],
        unique=False,
        postgresql_where=sa.text("state = 'open' AND published_at IS NULL AND claimed_until IS NOT NULL"),
        sqlite_where=sa.text("state = 'open' AND published_at IS NULL AND claimed_until IS NOT NULL"),
    )
    op.create_table(
        "metadata_error",
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("artifact_id", Id, nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column(
            "resolved",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="a later run read the artifact",
        ),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifact.id"], name=op.f("fk_metadata_error_artifact_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["metadata_run.id"], name=op.f("fk_metadata_error_run_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "artifact_id", name=op.f("pk_metadata_error")),
    )
    op.create_index("ix_metadata_error_artifact", "metadata_error", ["artifact_id"], unique=False)
    op.create_table(
        "metadata_key",
        sa.Column("archive_type", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column(
            "path_revision",
            sa.Integer(),
            nullable=False,
            comment="since when it has this path: older values are stale",
        ),
        sa.Column("active", sa.Boolean(), nullable=False, comment="false once it was removed; its values stay"),
        sa.Column("place", sa.Integer(), nullable=False, comment="order in the configuration"),
        sa.ForeignKeyConstraint(
            ["archive_type"],
            ["metadata_definition.archive_type"],
            name=op.f("fk_metadata_key_archive_type"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("archive_type", "key", name=op.f("pk_metadata_key")),
    )

    op.execute(ADOPT.format(columns=", ".join(_field(column, field) for column, field in FIELDS.items())))


def _field(column: str, field: str) -> str:
    """The expression that reads a field of the task's JSON, in the type of its column."""
    if op.get_bind().dialect.name == "postgresql":
        kind = {"schema_version": "int", "size": "bigint", "archived_at": "timestamptz", "retain_until": "timestamptz"}
        return f"(t.stored::jsonb ->> '{field}')::{kind.get(column, 'text')} AS {column}"
    text = f"json_extract(t.stored, '$.{field}')"
    if column in ("archived_at", "retain_until"):
        text = f"strftime('%Y-%m-%d %H:%M:%f', {text}) || '000'"
    return f"{text} AS {column}"


def downgrade() -> None:
    for table in (
        "metadata_error",
        "metadata_batch",
        "metadata_run",
        "metadata_key",
        "metadata_definition",
        "artifact_metadata",
        "artifact",
    ):
        op.drop_table(table)
