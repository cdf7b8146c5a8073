"""Live jobs and their tasks: what tasks keep of their messages, and where each topic began.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa

from alembic import op
from app.db.tables import UtcDateTime

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    ends = sa.Column("takes_until", UtcDateTime, comment="the end of the day of a live job: until then it gets tasks")
    op.add_column("backfill_job", ends)
    op.create_table(
        "live_task",
        sa.Column(
            "key", sa.Uuid, nullable=False, comment="domain.identity.live_task_key; the reference_key of its tasks"
        ),
        sa.Column("job_id", sa.Uuid, nullable=False, comment="its first task; jobs that retry it have others"),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("day", sa.Integer, nullable=False, comment="of the job: days since 0001-01-01, from 1"),
        sa.Column("subject", sa.Uuid, nullable=False, comment="domain.identity.live_subject"),
        sa.Column("message_id", sa.Text, nullable=False, comment="idempotence id of the message"),
        sa.Column("process_id", sa.Text, nullable=True, comment="of the message"),
        sa.Column("traceparent", sa.String(55), nullable=True, comment="of the message"),
        sa.Column("announced", sa.Boolean, nullable=False),
        sa.Column(
            "content_type",
            sa.Text,
            nullable=True,
            comment="from here on: only where the document was in the message",
        ),
        sa.Column("system", sa.Text, nullable=True),
        sa.Column("schema_name", sa.Text, nullable=True),
        sa.Column("schema_version", sa.Integer, nullable=True),
        sa.Column("size", sa.Integer, nullable=True, comment="bytes of the payload"),
        sa.Column("payload", sa.LargeBinary, nullable=True, comment="the document, until the task has ended well"),
        sa.Column(
            "state",
            sa.String(8),
            nullable=False,
            server_default=sa.text("'open'"),
            comment="db.live_payloads.State",
        ),
        sa.PrimaryKeyConstraint("key", name="pk_live_task"),
    )
    for name, columns, state in (
        ("ix_live_task_unended", ["subject", "day", "position"], "open"),
        ("ix_live_task_failed", ["key"], "failed"),
    ):
        where = sa.text(f"state = '{state}'")
        op.create_index(name, "live_task", columns, postgresql_where=where, sqlite_where=where)
    op.create_index("ix_live_task_subject", "live_task", ["subject"])
    op.create_table(
        "live_start",
        sa.Column("topic", sa.String(249), nullable=False),
        sa.Column("partition", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("position", sa.BigInteger, nullable=False, comment="the offset at which the live flow began"),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", name="pk_live_start"),
    )


def downgrade() -> None:
    op.drop_table("live_start")
    op.drop_table("live_task")
    op.drop_column("backfill_job", "takes_until")
