"""Makes the commands that an outbox has to send: the command of a task, the command of a batch."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple, Protocol
from uuid import uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from app.broker import Message
from app.broker.encoding import JSON, Encoder
from app.broker.messages import Publisher, backfill_metadata_command, command_key, create_artifact_command, run_key
from app.db import commands
from app.db.outbox import BATCHES, TASKS, ItemId, Outbox
from app.domain.tasks import OwedTask


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
    """One command for each task."""

    name = "CreateArtifactCommand"

    def __init__(self, topic: str, publisher: Publisher, encoder: Encoder = JSON, box: Outbox = TASKS) -> None:
        self.box = box
        self.encoder = encoder
        self._topic = topic
        self._publisher = publisher

    async def load(self, connection: AsyncConnection, items: Sequence[ItemId]) -> list[Owed]:
        now = datetime.now(UTC)
        return [self._owed(each, now) for each in await commands.owed_tasks(connection, items)]

    def _owed(self, each: OwedTask, now: datetime) -> Owed:
        command = create_artifact_command(each, self._publisher, now, uuid4())
        message = Message(self._topic, command_key(each.reference), self.encoder.encode(command))
        return Owed(ItemId(each.job_id, each.position), message, each.traceparent, each.trace_id)


class BackfillMetadataCommands:
    """One command for each batch of a metadata run."""

    box = BATCHES
    name = "BackfillMetadataCommand"

    def __init__(self, topic: str, publisher: Publisher, encoder: Encoder = JSON) -> None:
        self.encoder = encoder
        self._topic = topic
        self._publisher = publisher

    async def load(self, connection: AsyncConnection, items: Sequence[ItemId]) -> list[Owed]:
        traces = await commands.traces_of_runs(connection, {item.owner_id for item in items})
        now = datetime.now(UTC)
        owed = []
        for item in items:
            command = backfill_metadata_command(item.owner_id, item.position, self._publisher, now, uuid4())
            sent = Message(self._topic, run_key(item.owner_id, item.position), self.encoder.encode(command))
            owed.append(Owed(item, sent, traces.get(item.owner_id)))
        return owed
