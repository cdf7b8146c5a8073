"""Sources have a history of the requests that they could get, by the minute, for the chart of the page.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "source_minute",
        sa.Column("minute", sa.Integer, nullable=False, autoincrement=False, comment="Unix time divided by 60 s"),
        sa.Column("source", sa.Text, nullable=False, comment="scheme, host and port"),
        sa.Column("process", sa.Uuid, nullable=False, comment="each process limits its own requests"),
        sa.Column("allowed", sa.Integer, nullable=False, comment="requests at once, the fewest in this minute"),
        sa.Column("in_flight", sa.Integer, nullable=False, comment="the largest number that was seen"),
        sa.PrimaryKeyConstraint("minute", "source", "process", name="pk_source_minute"),
    )


def downgrade() -> None:
    op.drop_table("source_minute")
