"""Makes the commands that an outbox has to send: the command of a task, the command of a batch."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple, Protocol
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from app.broker import Message
from app.broker.encoding import JSON, Encoder
from app.broker.messages import backfill_metadata_command, command_key, create_artifact_command, run_key
from app.db import commands
from app.db.commands import OwedTask
from app.db.outbox import BATCHES, TASKS, ItemId, Outbox
from app.domain.identity import reference_key, trace_id_of


class Owed(NamedTuple):
    """One command to send; the relay adds the `traceparent` header.

    Its spans are in the trace `trace_id`, with a link to that of `traceparent`; None: in the trace of `traceparent`.
    """

    item: ItemId
    message: Message
    traceparent: str | None
    trace_id: str | None = None


class Commands(Protocol):
    """Makes the commands of claimed items."""

    @property
    def box(self) -> Outbox: ...

    @property
    def name(self) -> str: ...

    @property
    def encoder(self) -> Encoder:
        """The relay prepares it before it loads commands: no transaction is open while it waits for the registry."""

    async def load(self, connection: AsyncConnection, items: Sequence[ItemId]) -> list[Owed]: ...


class CreateArtifactCommands:
    """One command for each task. `system` and `service` are the sender named in the command."""

    box = TASKS
    name = "CreateArtifactCommand"

    def __init__(self, topic: str, system: str, service: str, encoder: Encoder = JSON) -> None:
        self.encoder = encoder
        self._topic = topic
        self._system = system
        self._service = service

    async def load(self, connection: AsyncConnection, items: Sequence[ItemId]) -> list[Owed]:
        now = datetime.now(UTC)
        return [self._owed(each, now) for each in await commands.owed_tasks(connection, items)]

    def _owed(self, each: OwedTask, now: datetime) -> Owed:
        job_id, reference = each.id.owner_id, each.reference
        command = create_artifact_command(
            job_id, reference, each.message, each.topic, self._system, self._service, now, uuid4()
        )
        message = Message(self._topic, command_key(reference), self.encoder.encode(command))
        return Owed(each.id, message, each.traceparent, trace_id_of(job_id, reference_key(reference)))


class BackfillMetadataCommands:
    """One command for each batch of a metadata run."""

    box = BATCHES
    name = "BackfillMetadataCommand"

    def __init__(self, topic: str, system: str, service: str, encoder: Encoder = JSON) -> None:
        self.encoder = encoder
        self._topic = topic
        self._system = system
        self._service = service

    async def load(self, connection: AsyncConnection, items: Sequence[ItemId]) -> list[Owed]:
        traces = await commands.traces_of_runs(connection, {item.owner_id for item in items})
        now = datetime.now(UTC)
        owed = []
        for item in items:
            command = backfill_metadata_command(item.owner_id, item.position, self._system, self._service, now, uuid4())
            sent = Message(self._topic, run_key(item.owner_id, item.position), self.encoder.encode(command))
            owed.append(Owed(item, sent, traces.get(item.owner_id)))
        return owed
