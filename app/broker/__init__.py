"""The broker as the messaging needs it: acknowledged sends, polled records, committed offsets. Protocol only."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from app.domain.errors import Unavailable
from app.domain.readiness import topic_named

Headers = Sequence[tuple[str, bytes]]


class Partition(NamedTuple):
    topic: str
    number: int


@dataclass(frozen=True, slots=True)
class Record:
    """One polled record, undecoded: decoding happens in the handler, where it can fail without blocking."""

    partition: Partition
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def next_offset(self) -> int:
        """What to commit once this record and all before it are settled."""
        return self.offset + 1


@dataclass(frozen=True, slots=True)
class Message:
    """One message to send."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = field(default=())


class MessageRejected(Unavailable):
    """Its topic does not take this message, mostly for its size, and will not before somebody changes the topic.

    The component is the topic: other topics go on meanwhile, and when a message got through to one of them, that says
    nothing of this one. `reason` says what to do.
    """

    def __init__(self, topic: str, reason: str) -> None:
        super().__init__(topic_named(topic), reason)


class Consumer(Protocol):
    """A member of a consumer group. Only one task polls; `on_revoked` runs beside it, in a task of the client."""

    async def start(self, on_revoked: Callable[[Sequence[Partition]], Awaitable[None]]) -> None:
        """Join. `on_revoked` settles and commits what it can for the partitions within a few seconds.

        Until it returns `poll` gives nothing. What it did not commit is given to the next owner, who may be the same.
        """

    async def poll(self, timeout: float, max_records: int) -> Sequence[Record]:
        """Up to `max_records` of partitions that are not paused, or none after `timeout` seconds.

        While the broker is away it gives nothing or raises Unavailable("broker", reason), after a pause; calling
        again is how to wait for it.
        """

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Partitions no longer assigned are passed over."""

    def resume(self, partitions: Sequence[Partition]) -> None: ...

    def assigned(self) -> frozenset[Partition]: ...

    async def commit(self, offsets: Mapping[Partition, int]) -> bool:
        """Next offsets. A commit for a partition that was lost meanwhile is passed over silently.

        True where the broker answered; False where nobody asked it, as all these partitions were lost.

        Raises Unavailable("broker", reason) while the broker is away: commit again later.
        """

    async def stop(self) -> None: ...


class Broker(Protocol):
    """Raises Unavailable("broker", reason) for outages; what waits or repeats is the caller's decision."""

    async def start(self) -> None:
        """Open the producer. Returns also when no broker can be reached yet: it is connected in the background."""

    async def send(self, message: Message) -> None:
        """Returns once all in-sync replicas have it. Raises MessageRejected, or Unavailable for the broker."""

    def consumer(self, topics: Sequence[str], group: str) -> Consumer: ...

    async def missing_topics(self, topics: Sequence[str]) -> Sequence[str]:
        """Which of these do not exist (made first where the settings allow it)."""

    async def close(self) -> None: ...
