"""The broker as messaging needs it: acknowledged sends, polled records, committed offsets. No implementation."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from app.domain.errors import Unavailable
from app.domain.readiness import topic_named

Headers = Sequence[tuple[str, bytes | None]]
"""Names may repeat; a value of None is null, which Kafka keeps apart from an empty one."""


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
    timestamp: float | None = None
    """When it was sent, in seconds since 1970, as the broker has it."""

    @property
    def next_offset(self) -> int:
        """What to commit once this record and all before it are settled."""
        return self.offset + 1

    @property
    def traceparent(self) -> str | None:
        """The header of this name, unchecked."""
        for name, value in self.headers:
            if name == "traceparent":
                return None if value is None else value.decode("ascii", "replace")
        return None


@dataclass(frozen=True, slots=True)
class Message:
    """One message to send."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = field(default=())


class MessageRejected(Unavailable):
    """The topic refuses this message, mostly for its size, and will refuse it until somebody changes the topic.

    The component is the topic: other topics go on meanwhile, and a message that got through to another topic says
    nothing about this one. `reason` says what to do.
    """

    def __init__(self, topic: str, reason: str) -> None:
        super().__init__(topic_named(topic), reason)


class Bounds(NamedTuple):
    """The offsets of a partition at a moment: of its first record, and behind its last one."""

    first: int
    end: int


class Beginnings(Protocol):
    """Decides where a group begins in partitions for which it has committed nothing."""

    async def of(self, topic: str, wanted: Collection[int], bounds: Mapping[int, Bounds]) -> Mapping[int, int]:
        """The offset of each wanted partition; `bounds` has all partitions of the topic. Raises Unavailable."""

    async def missing(self, topic: str) -> None:
        """The topic does not exist yet: all that it will have is new. Raises Unavailable."""


class Consumer(Protocol):
    """A member of a consumer group. Only one task polls; `on_revoked` runs beside it, in a task of the client."""

    async def start(self, on_revoked: Callable[[Sequence[Partition]], Awaitable[None]]) -> None:
        """Joins the group. `on_revoked` settles and commits what it can for the partitions within a few seconds.

        Until `on_revoked` returns, `poll` gives nothing. Records that it did not commit go to the next owner, which may
        be the same process.
        """

    async def poll(self, timeout: float, max_records: int) -> Sequence[Record]:
        """Up to `max_records` of partitions that are not paused, or none after `timeout` seconds.

        While the broker is unavailable it gives nothing or raises Unavailable("broker", reason), after a pause; call it
        again to wait for the broker.
        """

    def pause(self, partitions: Sequence[Partition]) -> None:
        """Pauses these partitions; those no longer assigned are ignored."""

    def resume(self, partitions: Sequence[Partition]) -> None: ...

    def assigned(self) -> frozenset[Partition]: ...

    def lag(self) -> Mapping[str, int]:
        """How many records of each topic, in the assigned partitions, are behind the committed offsets; as last known.

        Only for consumers with `Beginnings`.
        """

    async def commit(self, offsets: Mapping[Partition, int]) -> bool:
        """Commits next offsets. A commit for a partition that was lost meanwhile is silently ignored.

        True when the broker answered; False when it was not asked, as all these partitions were lost.

        Raises Unavailable("broker", reason) while the broker is unavailable: commit again later.
        """

    async def stop(self) -> None: ...


class Broker(Protocol):
    """Raises Unavailable("broker", reason) for outages; the caller decides what waits or is repeated."""

    async def start(self) -> None:
        """Opens the producer. Returns also when no broker can be reached yet: it is connected in the background."""

    async def send(self, message: Message) -> None:
        """Returns once all in-sync replicas have it. Raises MessageRejected, or Unavailable for the broker."""

    async def send_all(self, messages: Sequence[Message]) -> Sequence[BaseException | None]:
        """Sends many at the cost of few. Returns for each, in order, None or what `send` would raise."""

    def consumer(self, topics: Sequence[str], group: str, beginnings: Beginnings | None = None) -> Consumer:
        """Without `beginnings` a partition is read from its first record, unless an offset was committed."""

    async def missing_topics(self, topics: Sequence[str]) -> Sequence[str]:
        """The topics among these that do not exist. They are created first where the settings allow it."""

    async def close(self) -> None: ...


async def send_each(
    send: Callable[[Message], Awaitable[None]], messages: Sequence[Message]
) -> Sequence[BaseException | None]:
    """Sends each message alone, all at the same time. Returns for each, in order, None or what was raised."""
    return await asyncio.gather(*map(send, messages), return_exceptions=True)
