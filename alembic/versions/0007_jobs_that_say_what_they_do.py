"""Jobs have a name and a kind, say what they wait for and who did what; the last minute, events owed, processes.

Processes of the release before go on beside: they leave the new columns as they are.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa

from alembic import op
from app.db.tables import UtcDateTime, serial

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

OF_JOB = ("name", "kind", "started_by_subject", "cancelled_by", "cancelled_at")
WAITING = ("waiting_for", "waiting_name", "waiting_since", "waiting_reason", "waiting_until")


def upgrade() -> None:
    for column in (
        sa.Column("name", sa.String(255), nullable=True),
        sa.Column("kind", sa.String(16), nullable=False, server_default=sa.text("'backfill'")),
        sa.Column("started_by_subject", sa.Text, nullable=True),
        sa.Column("cancelled_by", sa.Text, nullable=True),
        sa.Column("cancelled_at", UtcDateTime, nullable=True),
        sa.Column("waiting_for", sa.String(16), nullable=True, comment="domain.waiting.WaitingFor"),
        sa.Column("waiting_name", sa.Text, nullable=True),
        sa.Column("waiting_since", UtcDateTime, nullable=True),
        sa.Column("waiting_reason", sa.Text, nullable=True),
        sa.Column("waiting_until", UtcDateTime, nullable=True, comment="the next try"),
    ):
        op.add_column("backfill_job", column)
    op.create_table(
        "job_action",
        sa.Column("job_id", sa.Uuid, nullable=False),
        sa.Column("position", sa.Integer, nullable=False, autoincrement=False, comment="order of the actions, from 0"),
        sa.Column("what", sa.String(16), nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "position", name="pk_job_action"),
        sa.ForeignKeyConstraint(["job_id"], ["backfill_job.id"], name="fk_job_action_job_id", ondelete="CASCADE"),
    )
    op.create_table(
        "job_progress",
        sa.Column("job_id", sa.Uuid, nullable=False),
        sa.Column("slot", sa.BigInteger, nullable=False, autoincrement=False, comment="Unix time divided by 5 s"),
        sa.Column("done", sa.Integer, nullable=False, comment="tasks that ended in these seconds"),
        sa.PrimaryKeyConstraint("job_id", "slot", name="pk_job_progress"),
        sa.ForeignKeyConstraint(["job_id"], ["backfill_job.id"], name="fk_job_progress_job_id", ondelete="CASCADE"),
    )
    op.create_table(
        "job_event",
        sa.Column("id", serial(), nullable=False, autoincrement=True),
        sa.Column("job_id", sa.Uuid, nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("payload", sa.Text, nullable=False, comment="JSON of BackfillJobStateChangedEvent.payload"),
        sa.Column("traceparent", sa.String(55), nullable=True),
        sa.Column("claimed_until", UtcDateTime, nullable=True, comment="lease of a process that is sending it"),
        sa.PrimaryKeyConstraint("id", name="pk_job_event"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "service_process",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("started_at", UtcDateTime, nullable=False),
        sa.Column("seen_at", UtcDateTime, nullable=False),
        sa.Column("release", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_service_process"),
    )
    op.create_table(
        "dead_letter_count",
        sa.Column("topic", sa.String(249), nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("last_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("topic", name="pk_dead_letter_count"),
    )


def downgrade() -> None:
    for table in ("dead_letter_count", "service_process", "job_event", "job_progress", "job_action"):
        op.drop_table(table)
    for column in (*OF_JOB, *WAITING):
        op.drop_column("backfill_job", column)
