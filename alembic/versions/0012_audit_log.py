"""The audit log: its entries, its head, and the checkpoints that were put into the bucket.

Processes of the release before go on beside: what they do gets no entry.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa

from alembic import op
from app.db.tables import UtcDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_entry",
        sa.Column("seq", sa.BigInteger, autoincrement=False, nullable=False, comment="from 0, without gaps"),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("what", sa.String(32), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("who_subject", sa.Text, nullable=True),
        sa.Column("who_name", sa.Text, nullable=True),
        sa.Column("who_ext_id", sa.Text, nullable=True),
        sa.Column("who_client", sa.Text, nullable=True),
        sa.Column("details", sa.Text, nullable=True, comment="canonical JSON"),
        sa.Column("hash", sa.LargeBinary, nullable=False, comment="RFC 9162 leaf hash of its canonical JSON"),
        sa.PrimaryKeyConstraint("seq", name="pk_audit_entry"),
    )
    op.create_index("ix_audit_entry_subject", "audit_entry", ["subject", "seq"])
    op.create_index("ix_audit_entry_what", "audit_entry", ["what", "seq"])
    head = op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("frontier", sa.LargeBinary, nullable=False, comment="domain.merkle.Frontier.packed"),
        sa.PrimaryKeyConstraint("id", name="pk_audit_head"),
    )
    op.bulk_insert(head, [{"id": 0, "size": 0, "frontier": b""}])
    op.create_table(
        "audit_checkpoint",
        sa.Column("size", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("size", name="pk_audit_checkpoint"),
    )


def downgrade() -> None:
    op.drop_table("audit_checkpoint")
    op.drop_table("audit_head")
    op.drop_table("audit_entry")
