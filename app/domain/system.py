"""The state of the service as operators see it: components, sources, work, dead letters, processes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.domain.readiness import ComponentState


@dataclass(frozen=True, slots=True)
class SourceState:
    """A source together with one OAuth client. `name` lists its archive types.

    `limit` and `in_flight` count requests to the source at the same time, of all clients. `last_failure` is the
    cause of the last attempt that got no answer about its record: no connection, no token, a timeout, 429, 5xx.
    """

    name: str
    client: str | None
    limit: int
    in_flight: int
    rest_until: datetime | None
    last_failure: str | None
    last_failure_at: datetime | None


@dataclass(frozen=True, slots=True)
class CommandCounts:
    """Commands that a process has received: `in_flight` are being worked on, `in_hand` have not been started."""

    in_flight: int
    in_hand: int


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """The number of records that all processes have sent to dead letter topics, and when the last one was sent."""

    count: int
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class KnownProcess:
    """A process of the service; `seen_at` is when it last wrote its row."""

    id: UUID
    started_at: datetime
    seen_at: datetime
    release: str


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """The part of the state that only the database has. `due` counts commands that may be sent now; `size` is in
    bytes."""

    due: int
    waiting_jobs: int
    dead_letters: DeadLetters
    version: str | None
    size: int | None
    processes: Sequence[KnownProcess]


@dataclass(frozen=True, slots=True)
class SystemState:
    """The state as one process answers it. `recorded` is None when the database does not answer."""

    components: Sequence[ComponentState]
    sources: Sequence[SourceState]
    commands: CommandCounts
    recorded: DatabaseState | None
    configuration: ComponentState
    release: str
    processes: Sequence[KnownProcess]
    """The processes seen in the last minute, and always the one that answers."""
