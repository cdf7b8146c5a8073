"""Completed jobs owe a proof until they have one: who builds it, and what is kept of it.

Processes of the release before go on beside: the jobs that they complete owe a proof like all others.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa

from alembic import op
from app.db.tables import UNPROVEN, UNTIMED, UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("backfill_job", sa.Column("proven_at", UtcDateTime, nullable=True))
    op.create_index(
        "ix_backfill_job_unproven",
        "backfill_job",
        ["completed"],
        postgresql_where=sa.text(UNPROVEN),
        sqlite_where=sa.text(UNPROVEN),
    )
    op.create_table(
        "job_proof",
        sa.Column("job_id", sa.Uuid, nullable=False),
        sa.Column("claimed_until", UtcDateTime, nullable=True, comment="lease of a process that is building it"),
        sa.Column("created_at", UtcDateTime, nullable=True),
        sa.Column("size", sa.Integer, nullable=True, comment="number of leaves"),
        sa.Column("root", sa.LargeBinary, nullable=True),
        sa.Column("checkpoint", sa.Text, nullable=True, comment="the signed note; null until the proof is made"),
        sa.Column("bucket", sa.Text, nullable=True),
        sa.Column("checkpoint_version", sa.Text, nullable=True, comment="version id of the object"),
        sa.Column("leaves_version", sa.Text, nullable=True),
        sa.Column("retain_until", UtcDateTime, nullable=True, comment="end of the locks of its objects"),
        sa.Column("timestamp", sa.LargeBinary, nullable=True, comment="RFC 3161 response for the checkpoint"),
        sa.Column("timestamp_due", UtcDateTime, nullable=True, comment="the next try; null: none is owed"),
        sa.PrimaryKeyConstraint("job_id", name="pk_job_proof"),
        sa.ForeignKeyConstraint(["job_id"], ["backfill_job.id"], name="fk_job_proof_job_id", ondelete="CASCADE"),
    )
    op.create_index(
        "ix_job_proof_untimed",
        "job_proof",
        ["timestamp_due"],
        postgresql_where=sa.text(UNTIMED),
        sqlite_where=sa.text(UNTIMED),
    )


def downgrade() -> None:
    op.drop_table("job_proof")
    op.drop_index("ix_backfill_job_unproven", "backfill_job")
    op.drop_column("backfill_job", "proven_at")
