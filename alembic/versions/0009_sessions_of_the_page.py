"""Sessions of the page: who is logged in, with the tokens, which are encrypted.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa

from alembic import op
from app.db.tables import UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "page_session",
        sa.Column("id", sa.LargeBinary, nullable=False, comment="SHA-256 of what the browser has"),
        sa.Column("tokens", sa.LargeBinary, nullable=False, comment="encrypted"),
        sa.Column("ends", UtcDateTime, nullable=False),
        sa.Column("renewing_until", UtcDateTime, nullable=True, comment="lease of a process that renews the tokens"),
        sa.PrimaryKeyConstraint("id", name="pk_page_session"),
    )


def downgrade() -> None:
    op.drop_table("page_session")
