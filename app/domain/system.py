"""The service as its operators see it: what is well, what it does and what waits, and which processes there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.domain.readiness import Condition


@dataclass(frozen=True, slots=True)
class SourceState:
    """A source, asked with the token of one OAuth client. `name` names its archive types.

    `limit` and `in_flight` count requests to the source at the same time, of all clients. `last_failure` is the last
    time that an attempt got no answer about its record: no connection, no token, a timeout, 429, 5xx.
    """

    name: str
    client: str | None
    limit: int
    in_flight: int
    rest_until: datetime | None
    last_failure: str | None
    last_failure_at: datetime | None


@dataclass(frozen=True, slots=True)
class Hands:
    """The commands that a process has: `in_flight` are worked on, `in_hand` were received and are not started."""

    in_flight: int
    in_hand: int


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Records that were put into dead letter topics by all processes."""

    count: int
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class ProcessSeen:
    """A process of the service; `seen_at` is when it was last known to run."""

    id: UUID
    started_at: datetime
    seen_at: datetime
    release: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the database knows. `due` are the commands that may be sent now, `size` is in bytes."""

    due: int
    waiting_jobs: int
    dead_letters: DeadLetters
    version: str | None
    size: int | None
    processes: Sequence[ProcessSeen]


@dataclass(frozen=True, slots=True)
class SystemState:
    """`recorded` is None when the database does not tell; the rest is what the answering process knows itself."""

    components: Sequence[Condition]
    sources: Sequence[SourceState]
    hands: Hands
    recorded: Recorded | None
    configuration: Condition
    release: str
    processes: Sequence[ProcessSeen]
    """Those seen in the last minute, the answering one always."""
