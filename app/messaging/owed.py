"""What is owed to the broker for an item of an outbox: the command of a task, the command of a batch."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple, Protocol
from uuid import uuid4

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.broker import Message
from app.broker.codec import encode
from app.broker.messages import backfill_metadata_command, command_key, create_artifact_command, run_key
from app.db import dialect
from app.db.metadata_tables import batch, run
from app.db.outbox import IDS, TASKS, ItemId, Outbox
from app.db.tables import job, task
from app.domain.jobs import Reference

BATCHES = Outbox(run, batch, batch.c.run_id, dialect.LOCK_RUN_RELAY)


class Owed(NamedTuple):
    """One command to send, with the trace that it belongs to; its `traceparent` header is added by the relay."""

    item: ItemId
    message: Message
    traceparent: str | None


class Commands(Protocol):
    """Makes the commands of claimed items."""

    @property
    def box(self) -> Outbox: ...

    @property
    def name(self) -> str: ...

    async def load(self, connection: AsyncConnection, items: Sequence[ItemId]) -> list[Owed]: ...


class CreateArtifactCommands:
    """One command per task. `system` and `service` sign them."""

    box = TASKS
    name = "CreateArtifactCommand"

    def __init__(self, topic: str, system: str, service: str) -> None:
        self._topic = topic
        self._system = system
        self._service = service

    async def load(self, connection: AsyncConnection, items: Sequence[ItemId]) -> list[Owed]:
        rows = await connection.execute(_tasks(connection.dialect.name), IDS.bind(connection, items))
        now = datetime.now(UTC)
        owed = []
        for job_id, position, reference_id, version, message, topic, traceparent in rows:
            reference = Reference(reference_id, version)
            command = create_artifact_command(
                job_id, reference, message, topic, self._system, self._service, now, uuid4()
            )
            sent = Message(self._topic, command_key(reference), encode(command))
            owed.append(Owed(ItemId(job_id, position), sent, traceparent))
        return owed


@lru_cache
def _tasks(dialect_name: str) -> Select[Any]:
    ids = IDS.clause(dialect_name)
    return select(
        task.c.job_id,
        task.c.position,
        task.c.reference_id,
        task.c.reference_version,
        job.c.message,
        job.c.topic,
        job.c.traceparent,
    ).where(task.c.job_id == ids.c.owner_id, task.c.position == ids.c.position, job.c.id == task.c.job_id)


class BackfillMetadataCommands:
    """One command per batch of a metadata run."""

    box = BATCHES
    name = "BackfillMetadataCommand"

    def __init__(self, topic: str, system: str, service: str) -> None:
        self._topic = topic
        self._system = system
        self._service = service

    async def load(self, connection: AsyncConnection, items: Sequence[ItemId]) -> list[Owed]:
        run_ids = {item.owner_id for item in items}
        rows = await connection.execute(select(run.c.id, run.c.traceparent).where(run.c.id.in_(run_ids)))
        traces = dict(rows.tuples().all())
        now = datetime.now(UTC)
        owed = []
        for item in items:
            command = backfill_metadata_command(item.owner_id, item.position, self._system, self._service, now, uuid4())
            sent = Message(self._topic, run_key(item.owner_id, item.position), encode(command))
            owed.append(Owed(item, sent, traces.get(item.owner_id)))
        return owed
