"""The tables. What differs between PostgreSQL and SQLite is in `dialect.py`; migrations are in `alembic/`."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    Uuid,
    text,
)
from sqlalchemy.types import TypeEngine
from typing_extensions import override


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC, on SQLite stored as sortable text."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @override
    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    @override
    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def serial() -> TypeEngine[int]:
    """A number that the database increases for each row: SQLite does that for INTEGER only."""
    return BigInteger().with_variant(Integer(), "sqlite")


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
    }
)

job = Table(
    "backfill_job",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("message", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("config_id", Text, comment="as submitted"),
    Column("resolved_config_id", Text, comment="the configuration that the submission resolved to, where it has an id"),
    Column(
        "content_hash", LargeBinary, nullable=False, comment="equal for equal content (domain.identity.content_hash)"
    ),
    Column("num_of_retry", Integer),
    Column("state", String(16), nullable=False),
    Column("started", UtcDateTime, nullable=False),
    Column("completed", UtcDateTime),
    Column("started_by_name", Text),
    Column("started_by_ext_id", Text),
    Column("traceparent", String(55)),
    Column("total", Integer, nullable=False),
    Column("open", Integer, nullable=False),
    Column("succeeded", Integer, nullable=False, server_default=text("0")),
    Column("failed", Integer, nullable=False, server_default=text("0")),
    Column("last_settled", UtcDateTime, comment="when the last outcome was recorded"),
    Column("paused", Boolean, nullable=False, server_default=text("false")),
    Column("paused_at", UtcDateTime),
    Column("paused_by", Text),
    Column("paused_seconds", Float(53), nullable=False, server_default=text("0"), comment="of pauses that have ended"),
    Column("cancelled", Integer, nullable=False, server_default=text("0"), comment="among the failed"),
    Column("pardoned", Integer, nullable=False, server_default=text("0"), comment="finished when it was last resumed"),
    Column(
        "pardoned_failed",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="of these the failed ones: the failure threshold does not count them again",
    ),
    Column("retry_of", Uuid, comment="the job whose failed references these are"),
    Column("retry_cause", Text, comment="only those of this cause (domain.causes.cause_of)"),
    Column("held_until", UtcDateTime, comment="its source asked for a pause: nothing is published before"),
    Column("relayed_at", UtcDateTime, comment="when its commands were last published: whose turn it is"),
    Column("name", String(255)),
    Column("kind", String(16), nullable=False, server_default=text("'backfill'")),
    Column("started_by_subject", Text),
    Column("cancelled_by", Text),
    Column("cancelled_at", UtcDateTime),
    Column("waiting_for", String(16), comment="domain.waiting.WaitingFor"),
    Column("waiting_name", Text),
    Column("waiting_since", UtcDateTime),
    Column("waiting_reason", Text),
    Column("waiting_until", UtcDateTime, comment="the next try"),
    Column("proven_at", UtcDateTime),
    Column("takes_until", UtcDateTime, comment="the end of the day of a live job: until then it gets tasks"),
    CheckConstraint("open >= 0 AND open + succeeded + failed = total", name="counters"),
)
Index(
    "ix_backfill_job_open", job.c.relayed_at, postgresql_where=job.c.state == "open", sqlite_where=job.c.state == "open"
)
Index("ix_backfill_job_started", job.c.started)
Index(
    "ix_backfill_job_retry_of",
    job.c.retry_of,
    postgresql_where=job.c.retry_of.is_not(None),
    sqlite_where=job.c.retry_of.is_not(None),
)

UNPROVEN = "state = 'completed' AND proven_at IS NULL"
"""Jobs that owe a proof: each job from the moment at which it completes."""

Index("ix_backfill_job_unproven", job.c.completed, postgresql_where=text(UNPROVEN), sqlite_where=text(UNPROVEN))

task = Table(
    "backfill_task",
    metadata,
    Column("job_id", Uuid, ForeignKey(job.c.id, ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False, comment="order of submission, from 0"),
    Column("reference_key", Uuid, nullable=False, comment="16 bytes of domain.identity.reference_key"),
    Column("reference_id", Text, nullable=False),
    Column("reference_version", Integer),
    Column("state", String(16), nullable=False, server_default=text("'open'")),
    Column("attempts", Integer, nullable=False, server_default=text("0"), comment="used up before it was put back"),
    Column("claimed_until", UtcDateTime, comment="lease of a relay that is sending the command"),
    Column("published_at", UtcDateTime),
    Column("not_before", UtcDateTime),
    Column("answered", Boolean, nullable=False, server_default=text("false"), comment="answered without an outcome"),
    Column("no_data_at", UtcDateTime),
    Column("no_data_count", Integer, nullable=False, server_default=text("0")),
    Column("stored", Text, comment="JSON of domain.artifacts.StoredArtifact; from then on it can only succeed"),
    Column("message", Text),
    Column("trace_id", String(32)),
    Column("finished_at", UtcDateTime),
    Column("cause", BigInteger, comment="of a failed one: domain.causes.cause_id, named in failure_cause"),
)
Index("uq_backfill_task_reference", task.c.job_id, task.c.reference_key, unique=True)

WAITING = "state = 'open' AND published_at IS NULL"
"""The outbox: commands that are not published yet."""

LEASED = f"{WAITING} AND claimed_until IS NOT NULL"
"""Commands that a relay is sending, or was sending when it died."""

OUTSTANDING = "state = 'open' AND published_at IS NOT NULL AND NOT answered"
"""Commands that are published and not answered; the window of a job limits their number."""

NO_DATA = "state = 'open' AND no_data_at IS NOT NULL"

FAILED = "state = 'failed'"

UNCOUNTED = "state = 'failed' AND cause IS NULL"
"""Failures that a process of the previous release recorded: not counted by cause yet (`db.causes`)."""

for name, condition in (
    ("waiting", WAITING),
    ("leased", LEASED),
    ("outstanding", OUTSTANDING),
    ("no_data", NO_DATA),
    ("failed", FAILED),
    ("uncounted", UNCOUNTED),
):
    Index(
        f"ix_backfill_task_{name}",
        task.c.job_id,
        task.c.position,
        postgresql_where=text(condition),
        sqlite_where=text(condition),
    )

Index(
    "ix_backfill_task_cause",
    task.c.job_id,
    task.c.cause,
    task.c.position,
    postgresql_where=task.c.cause.is_not(None),
    sqlite_where=task.c.cause.is_not(None),
)
Index(
    "ix_backfill_task_reference_id",
    task.c.job_id,
    task.c.reference_id,
    task.c.position,
    postgresql_ops={"reference_id": "text_pattern_ops"},  # by code points, whatever the database sorts by
)

failure_cause = Table(
    "failure_cause",
    metadata,
    Column("job_id", Uuid, ForeignKey(job.c.id, ondelete="CASCADE"), primary_key=True),
    Column("id", BigInteger, primary_key=True, autoincrement=False, comment="domain.causes.cause_id"),
    Column("cause", Text, nullable=False),
    Column("failed", Integer, nullable=False, comment="tasks that have this cause; moved like the counters of the job"),
    Column("first", UtcDateTime, nullable=False),
    Column("last", UtcDateTime, nullable=False),
)

job_action = Table(
    "job_action",
    metadata,
    Column("job_id", Uuid, ForeignKey(job.c.id, ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False, comment="order of the actions, from 0"),
    Column("what", String(16), nullable=False),
    Column("by", Text, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

job_progress = Table(
    "job_progress",
    metadata,
    Column("job_id", Uuid, ForeignKey(job.c.id, ondelete="CASCADE"), primary_key=True),
    Column("slot", BigInteger, primary_key=True, autoincrement=False, comment="Unix time divided by 5 s"),
    Column("done", Integer, nullable=False, comment="tasks that ended in these seconds"),
)

job_event = Table(
    "job_event",
    metadata,
    Column("id", serial(), primary_key=True, autoincrement=True),
    Column("job_id", Uuid, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("payload", Text, nullable=False, comment="JSON of BackfillJobStateChangedEvent.payload"),
    Column("traceparent", String(55)),
    Column("claimed_until", UtcDateTime, comment="lease of a process that is sending it"),
    sqlite_autoincrement=True,
)
"""The outbox of job events, in their order; deleted once the broker has acknowledged them. No id is used again: it is
part of the event's idempotence id."""

job_proof = Table(
    "job_proof",
    metadata,
    Column("job_id", Uuid, ForeignKey(job.c.id, ondelete="CASCADE"), primary_key=True),
    Column("claimed_until", UtcDateTime, comment="lease of a process that is building it"),
    Column("created_at", UtcDateTime),
    Column("size", Integer, comment="number of leaves"),
    Column("root", LargeBinary),
    Column("checkpoint", Text, comment="the signed note; null until the proof is made"),
    Column("bucket", Text),
    Column("checkpoint_version", Text, comment="version id of the object"),
    Column("leaves_version", Text),
    Column("retain_until", UtcDateTime, comment="end of the locks of its objects"),
    Column("timestamp", LargeBinary, comment="RFC 3161 response for the checkpoint"),
    Column("timestamp_due", UtcDateTime, comment="the next try; null: none is owed"),
)

UNTIMED = "timestamp_due IS NOT NULL"

Index("ix_job_proof_untimed", job_proof.c.timestamp_due, postgresql_where=text(UNTIMED), sqlite_where=text(UNTIMED))

service_process = Table(
    "service_process",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("started_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("release", Text, nullable=False),
)

dead_letter_count = Table(
    "dead_letter_count",
    metadata,
    Column("topic", String(249), primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("last_at", UtcDateTime, nullable=False),
)

job_minute = Table(
    "job_minute",
    metadata,
    Column("job_id", Uuid, primary_key=True),
    Column("minute", Integer, primary_key=True, autoincrement=False, comment="Unix time divided by 60 s"),
    Column("succeeded", Integer, nullable=False, comment="of the job by then"),
    Column("failed", Integer, nullable=False, comment="of the job by then"),
)
"""Without a foreign key, whose check would wait for whoever has locked the row of the job to record outcomes."""

source_minute = Table(
    "source_minute",
    metadata,
    Column("minute", Integer, primary_key=True, autoincrement=False, comment="Unix time divided by 60 s"),
    Column("source", Text, primary_key=True, comment="scheme, host and port"),
    Column("process", Uuid, primary_key=True, comment="each process limits its own requests"),
    Column("allowed", Integer, nullable=False, comment="requests at once, the fewest in this minute"),
    Column("in_flight", Integer, nullable=False, comment="the largest number that was seen"),
)

page_session = Table(
    "page_session",
    metadata,
    Column("id", LargeBinary, primary_key=True, comment="SHA-256 of what the browser has"),
    Column("tokens", LargeBinary, nullable=False, comment="encrypted"),
    Column("ends", UtcDateTime, nullable=False),
    Column("renewing_until", UtcDateTime, comment="lease of a process that renews the tokens"),
)

live_task = Table(
    "live_task",
    metadata,
    Column("key", Uuid, primary_key=True, comment="domain.identity.live_task_key; the reference_key of its tasks"),
    Column("job_id", Uuid, nullable=False, comment="its first task; jobs that retry it have others"),
    Column("position", Integer, nullable=False),
    Column("day", Integer, nullable=False, comment="of the job: days since 0001-01-01, from 1"),
    Column("subject", Uuid, nullable=False, comment="domain.identity.live_subject"),
    Column("message_id", Text, nullable=False, comment="idempotence id of the message"),
    Column("process_id", Text, comment="of the message"),
    Column("traceparent", String(55), comment="of the message"),
    Column("announced", Boolean, nullable=False),
    Column("content_type", Text, comment="from here on: only where the document was in the message"),
    Column("system", Text),
    Column("schema_name", Text),
    Column("schema_version", Integer),
    Column("size", Integer, comment="bytes of the payload"),
    Column("payload", LargeBinary, comment="the document, until the task has ended well"),
    Column("state", String(8), nullable=False, server_default=text("'open'"), comment="db.live_payloads.State"),
)
"""What tasks keep of their messages. A row stays: it is how a message that comes again is known."""

UNENDED = "state = 'open'"
"""Tasks whose end `db.live_payloads` has not seen yet."""

Index(
    "ix_live_task_unended",
    live_task.c.subject,
    live_task.c.day,
    live_task.c.position,
    postgresql_where=text(UNENDED),
    sqlite_where=text(UNENDED),
)
Index(
    "ix_live_task_failed",
    live_task.c.key,
    postgresql_where=text("state = 'failed'"),
    sqlite_where=text("state = 'failed'"),
)

Index("ix_live_task_subject", live_task.c.subject)

live_start = Table(
    "live_start",
    metadata,
    Column("topic", String(249), primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False, comment="the offset at which the live flow began"),
    Column("at", UtcDateTime, nullable=False),
)

audit_entry = Table(
    "audit_entry",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False, comment="from 0, without gaps"),
    Column("at", UtcDateTime, nullable=False),
    Column("what", String(32), nullable=False),
    Column("subject", Text, nullable=False),
    Column("who_subject", Text),
    Column("who_name", Text),
    Column("who_ext_id", Text),
    Column("who_client", Text),
    Column("details", Text, comment="canonical JSON"),
    Column("hash", LargeBinary, nullable=False, comment="RFC 9162 leaf hash of its canonical JSON"),
)
Index("ix_audit_entry_subject", audit_entry.c.subject, audit_entry.c.seq)
Index("ix_audit_entry_what", audit_entry.c.what, audit_entry.c.seq)

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("frontier", LargeBinary, nullable=False, comment="domain.merkle.Frontier.packed"),
)
"""One row, which each act locks last."""

audit_checkpoint = Table(
    "audit_checkpoint",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
)
"""The checkpoints of the audit log that lie in the bucket."""

schema_lock = 7250150
"""Key of the PostgreSQL advisory locks of this service: `(schema_lock, purpose)`."""

__all__ = [
    "FAILED",
    "LEASED",
    "NO_DATA",
    "OUTSTANDING",
    "UNCOUNTED",
    "UNENDED",
    "UNPROVEN",
    "UNTIMED",
    "WAITING",
    "UtcDateTime",
    "audit_checkpoint",
    "audit_entry",
    "audit_head",
    "dead_letter_count",
    "failure_cause",
    "job",
    "job_action",
    "job_event",
    "job_minute",
    "job_progress",
    "job_proof",
    "live_start",
    "live_task",
    "metadata",
    "page_session",
    "schema_lock",
    "serial",
    "service_process",
    "source_minute",
    "task",
]
