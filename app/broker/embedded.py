"""The broker of embedded mode: the service's own topics are in memory, all other topics are files."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path

from app.broker import Beginnings, Consumer, Message, Partition, Record, send_each
from app.broker.topic_files import TopicFiles
from app.broker.topic_tail import TopicTail


class EmbeddedBroker:
    """Broker for one process; `own_topics` are those that the service itself consumes (the command topic).

    They are queues in memory with one partition each: after a restart the database still knows which commands are
    unanswered, and the relay publishes those again. All other topics are appended to `<directory>/topics/`.
    """

    def __init__(self, directory: Path, own_topics: Collection[str]) -> None:
        self._directory = directory
        self._files = TopicFiles(directory / "topics")
        self._queues = {topic: _Queue(topic) for topic in own_topics}

    async def start(self) -> None:
        """Makes the directory and cuts off lines that a crash tore. Raises Unavailable if it cannot be written."""
        await self._files.start()

    async def send(self, message: Message) -> None:
        """Returns when the line is on disk, or the record in its queue. Raises MessageRejected or Unavailable."""
        queue = self._queues.get(message.topic)
        if queue is None:
            await self._files.append(message)
        else:
            queue.append(message)

    async def send_all(self, messages: Sequence[Message]) -> Sequence[BaseException | None]:
        """As `send`, for each."""
        return await send_each(self.send, messages)

    def consumer(self, topics: Sequence[str], group: str, beginnings: Beginnings | None = None) -> Consumer:
        """The one member of a group. With `beginnings` it reads the files of topics as they grow (`topic_tail`), else
        our own topics. Raises KeyError for a topic that is not one of them."""
        if beginnings is not None:
            return TopicTail(self._directory, topics, group, beginnings)
        return _EmbeddedConsumer([self._queues[topic] for topic in topics], group)

    async def missing_topics(self, topics: Sequence[str]) -> Sequence[str]:
        """None: files and queues are made on their first use."""
        return []

    async def close(self) -> None:
        await self._files.close()


class _Queue:
    """One partition in memory. Records stay until each group that ever committed has committed them."""

    def __init__(self, topic: str) -> None:
        self.partition = Partition(topic, 0)
        self.listeners: set[Callable[[], None]] = set()
        self._records: deque[Record] = deque()
        self._end = 0
        self._committed: dict[str, int] = {}

    def append(self, message: Message) -> None:
        self._records.append(Record(self.partition, self._end, message.key, message.value, tuple(message.headers)))
        self._end += 1
        for listener in self.listeners:
            listener()

    def read(self, offset: int, count: int) -> Sequence[Record]:
        """Up to `count` records from `offset` on."""
        first = max(offset - self._first(), 0)
        return [self._records[place] for place in range(first, min(first + count, len(self._records)))]

    def committed(self, group: str) -> int:
        return self._committed.get(group, self._first())

    def commit(self, group: str, offset: int) -> None:
        self._committed[group] = offset
        done = min(self._committed.values())
        while self._records and self._records[0].offset < done:
            self._records.popleft()

    def _first(self) -> int:
        return self._end - len(self._records)


class _EmbeddedConsumer:
    """The only member of a group: it has all partitions until it stops, so `on_revoked` is never called."""

    def __init__(self, queues: Sequence[_Queue], group: str) -> None:
        self._queues = {queue.partition: queue for queue in queues}
        self._group = group
        self._positions: dict[Partition, int] = {}
        self._paused: set[Partition] = set()
        self._news = asyncio.Event()

    async def start(self, on_revoked: Callable[[Sequence[Partition]], Awaitable[None]]) -> None:
        for partition, queue in self._queues.items():
            self._positions[partition] = queue.committed(self._group)
            queue.listeners.add(self._news.set)

    async def poll(self, timeout: float, max_records: int) -> Sequence[Record]:
        records = self._read(max_records)
        if records:
            await asyncio.sleep(0)  # a backlog must not keep the loop from everyone else
            return records
        self._news.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._news.wait()
        except TimeoutError:
            return []
        return self._read(max_records)

    def pause(self, partitions: Sequence[Partition]) -> None:
        self._paused.update(partitions)

    def resume(self, partitions: Sequence[Partition]) -> None:
        self._paused.difference_update(partitions)
        self._news.set()

    def assigned(self) -> frozenset[Partition]:
        return frozenset(self._positions)

    def lag(self) -> Mapping[str, int]:
        raise NotImplementedError("nobody asks how far the command loop is behind")

    async def commit(self, offsets: Mapping[Partition, int]) -> bool:
        ours = offsets.keys() & self._positions.keys()
        for partition in ours:
            self._queues[partition].commit(self._group, offsets[partition])
        return bool(ours)

    async def stop(self) -> None:
        for queue in self._queues.values():
            queue.listeners.discard(self._news.set)
        self._positions.clear()

    def _read(self, max_records: int) -> list[Record]:
        records: list[Record] = []
        for partition, position in self._positions.items():
            if partition not in self._paused:
                found = self._queues[partition].read(position, max_records - len(records))
                if found:
                    self._positions[partition] = found[-1].next_offset
                    records += found
        return records
