"""What failed is counted by cause, and references are found by state, cause and the beginning of their id.

Processes of the release before go on beside: they record failures without a cause, which are counted afterwards.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa

from alembic import op
from app.db.tables import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # First the indexes that need no new column: while they are made, readers of tasks go on. Columns lock them out.
    op.create_index(
        "ix_backfill_task_reference_id",
        "backfill_task",
        ["job_id", "reference_id", "position"],
        postgresql_ops={"reference_id": "text_pattern_ops"},
    )
    _partial_index("backfill_task", "failed", ["job_id", "position"], "state = 'failed'")
    _partial_index("backfill_job", "retry_of", ["retry_of"], "retry_of IS NOT NULL")
    op.create_table(
        "failure_cause",
        sa.Column("job_id", sa.Uuid, nullable=False),
        sa.Column("id", sa.BigInteger, nullable=False, autoincrement=False, comment="domain.causes.cause_id"),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column(
            "failed",
            sa.Integer,
            nullable=False,
            comment="tasks that have this cause; moved like the counters of the job",
        ),
        sa.Column("first", UtcDateTime, nullable=False),
        sa.Column("last", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "id", name="pk_failure_cause"),
        sa.ForeignKeyConstraint(["job_id"], ["backfill_job.id"], name="fk_failure_cause_job_id", ondelete="CASCADE"),
    )
    comment = "only those of this cause (domain.causes.cause_of)"
    op.add_column("backfill_job", sa.Column("retry_cause", sa.Text, nullable=True, comment=comment))
    comment = "of a failed one: domain.causes.cause_id, named in failure_cause"
    op.add_column("backfill_task", sa.Column("cause", sa.BigInteger, nullable=True, comment=comment))
    _partial_index("backfill_task", "uncounted", ["job_id", "position"], "state = 'failed' AND cause IS NULL")
    _partial_index("backfill_task", "cause", ["job_id", "cause", "position"], "cause IS NOT NULL")


def _partial_index(table: str, name: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(f"ix_{table}_{name}", table, columns, postgresql_where=where, sqlite_where=where)


def downgrade() -> None:
    for name in ("cause", "uncounted", "failed", "reference_id"):
        op.drop_index(f"ix_backfill_task_{name}", table_name="backfill_task")
    op.drop_column("backfill_task", "cause")
    op.drop_index("ix_backfill_job_retry_of", table_name="backfill_job")
    op.drop_column("backfill_job", "retry_cause")
    op.drop_table("failure_cause")
