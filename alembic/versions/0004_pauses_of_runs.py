"""How long a metadata run was paused: its rate does not count that.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa

from alembic import op
from app.db.tables import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("metadata_run", sa.Column("paused_at", UtcDateTime, nullable=True))
    op.add_column(
        "metadata_run", sa.Column("paused_seconds", sa.Float(53), server_default=sa.text("0"), nullable=False)
    )


def downgrade() -> None:
    op.drop_column("metadata_run", "paused_seconds")
    op.drop_column("metadata_run", "paused_at")
