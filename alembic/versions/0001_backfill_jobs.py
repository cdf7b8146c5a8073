"""Backfill jobs and their tasks.

Revision ID: 0001
Revises: none
"""

import sqlalchemy as sa

from alembic import op
from app.db.tables import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "backfill_job",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("config_id", sa.Text, comment="as submitted"),
        sa.Column(
            "resolved_config_id",
            sa.Text,
            comment="the configuration that the submission resolved to, where it has an id",
        ),
        sa.Column(
            "content_hash",
            sa.LargeBinary,
            nullable=False,
            comment="equal for equal content (domain.identity.content_hash)",
        ),
        sa.Column("num_of_retry", sa.Integer),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("started", UtcDateTime, nullable=False),
        sa.Column("completed", UtcDateTime),
        sa.Column("started_by_name", sa.Text),
        sa.Column("started_by_ext_id", sa.Text),
        sa.Column("traceparent", sa.String(55)),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("open", sa.Integer, nullable=False),
        sa.Column("succeeded", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("failed", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("last_settled", UtcDateTime, comment="when the last outcome was recorded"),
        sa.Column("paused", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("held_until", UtcDateTime, comment="its source asked for a pause: nothing is published before"),
        sa.Column("relayed_at", UtcDateTime, comment="when its commands were last published: whose turn it is"),
        sa.PrimaryKeyConstraint("id", name="pk_backfill_job"),
        sa.CheckConstraint("open >= 0 AND open + succeeded + failed = total", name="counters"),
    )
    op.create_index(
        "ix_backfill_job_open",
        "backfill_job",
        ["relayed_at"],
        postgresql_where=sa.text("state = 'open'"),
        sqlite_where=sa.text("state = 'open'"),
    )
    op.create_index("ix_backfill_job_started", "backfill_job", ["started"])
    op.create_table(
        "backfill_task",
        sa.Column("job_id", sa.Uuid, nullable=False),
        sa.Column("position", sa.Integer, nullable=False, autoincrement=False, comment="order of submission, from 0"),
        sa.Column("reference_key", sa.Uuid, nullable=False, comment="16 bytes of domain.identity.reference_key"),
        sa.Column("reference_id", sa.Text, nullable=False),
        sa.Column("reference_version", sa.Integer),
        sa.Column("state", sa.String(16), nullable=False, server_default=sa.text("'open'")),
        sa.Column(
            "attempts",
            sa.Integer,
            nullable=False,
            server_default=sa.text("0"),
            comment="used up before it was put back",
        ),
        sa.Column("claimed_until", UtcDateTime, comment="lease of a relay that is sending the command"),
        sa.Column("published_at", UtcDateTime),
        sa.Column("not_before", UtcDateTime),
        sa.Column(
            "answered",
            sa.Boolean,
            nullable=False,
            server_default=sa.text("false"),
            comment="answered without an outcome",
        ),
        sa.Column("no_data_at", UtcDateTime),
        sa.Column("no_data_count", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column(
            "stored", sa.Text, comment="JSON of domain.artifacts.StoredArtifact; from then on it can only succeed"
        ),
        sa.Column("message", sa.Text),
        sa.Column("trace_id", sa.String(32)),
        sa.Column("finished_at", UtcDateTime),
        sa.PrimaryKeyConstraint("job_id", "position", name="pk_backfill_task"),
        sa.ForeignKeyConstraint(["job_id"], ["backfill_job.id"], name="fk_backfill_task_job_id", ondelete="CASCADE"),
    )
    op.create_index("uq_backfill_task_reference", "backfill_task", ["job_id", "reference_key"], unique=True)
    for name, condition in (
        ("waiting", "state = 'open' AND published_at IS NULL"),
        ("leased", "state = 'open' AND published_at IS NULL AND claimed_until IS NOT NULL"),
        ("outstanding", "state = 'open' AND published_at IS NOT NULL AND NOT answered"),
        ("no_data", "state = 'open' AND no_data_at IS NOT NULL"),
    ):
        op.create_index(
            f"ix_backfill_task_{name}",
            "backfill_task",
            ["job_id", "position"],
            postgresql_where=sa.text(condition),
            sqlite_where=sa.text(condition),
        )
    if op.get_bind().dialect.name == "postgresql":
        # Counted, there may be as many jobs as tasks; then PostgreSQL takes any index that begins with the job to find
        # a task by its position, and reads all of a big job for each.
        op.execute("ALTER TABLE backfill_task ALTER COLUMN job_id SET (n_distinct = 200)")


def downgrade() -> None:
    op.drop_table("backfill_task")
    op.drop_table("backfill_job")
