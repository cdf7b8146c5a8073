"""Jobs have a history of their counters, by the minute, for the chart of the page.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "job_minute",
        sa.Column("job_id", sa.Uuid, nullable=False),
        sa.Column("minute", sa.Integer, nullable=False, autoincrement=False, comment="Unix time divided by 60 s"),
        sa.Column("succeeded", sa.Integer, nullable=False, comment="of the job by then"),
        sa.Column("failed", sa.Integer, nullable=False, comment="of the job by then"),
        sa.PrimaryKeyConstraint("job_id", "minute", name="pk_job_minute"),
    )


def downgrade() -> None:
    op.drop_table("job_minute")
