"""Jobs that are paused, by people or by their failures, and that retry what failed in another.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa

from alembic import op
from app.db.tables import UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

COUNTED = (
    ("paused_seconds", sa.Float(53), "of pauses that have ended"),
    ("cancelled", sa.Integer, "among the failed"),
    ("pardoned", sa.Integer, "finished when it was last resumed"),
    ("pardoned_failed", sa.Integer, "of these the failed ones: the failure threshold does not count them again"),
)


def upgrade() -> None:
    op.add_column("backfill_job", sa.Column("paused_at", UtcDateTime, nullable=True))
    op.add_column("backfill_job", sa.Column("paused_by", sa.Text, nullable=True))
    for name, kind, comment in COUNTED:
        column = sa.Column(name, kind, server_default=sa.text("0"), nullable=False, comment=comment)
        op.add_column("backfill_job", column)
    comment = "the job whose failed references these are"
    op.add_column("backfill_job", sa.Column("retry_of", sa.Uuid, nullable=True, comment=comment))


def downgrade() -> None:
    for name in ("retry_of", "pardoned_failed", "pardoned", "cancelled", "paused_seconds", "paused_by", "paused_at"):
        op.drop_column("backfill_job", name)
