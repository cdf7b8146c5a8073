"""A consumer and a broker in memory for the tests of the messaging, and a command loop between them."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence, Set
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from typing_extensions import override

from app.broker import Message, Partition, Record
from app.domain.readiness import BROKER, DATABASE, Readiness
from app.messaging.consumer import CommandLoop
from app.messaging.dispatch import Answer, Undecoded
from app.messaging.slots import IN_HAND, Slots
from app.messaging.undecoded import FindSchema
from tests.support.each_alone import EachAlone

FIRST, SECOND = Partition("commands", 0), Partition("commands", 1)


def record(offset: int, partition: Partition = FIRST, value: bytes = b"{}") -> Record:
    return Record(partition, offset, b"key", value, ())


def records(*offsets: int, partition: Partition = FIRST) -> list[Record]:
    return [record(offset, partition) for offset in offsets]


async def until(condition: Callable[[], Any]) -> None:
    """Lets everything go on until this holds; fails where it never does."""
    async with asyncio.timeout(20):
        for _ in count():
            if condition():
                return
            await asyncio.sleep(0)


class FakeConsumer:
    """Gives each list of `polls` at one poll; a list that was added with `force` is given although all is paused."""

    def __init__(self, *polls: Sequence[Record]) -> None:
        self.polls = [list(poll) for poll in polls]
        self.forced: list[list[Record]] = []
        self.paused: set[Partition] = set()
        self.partitions = {FIRST, SECOND}
        self.committed: dict[Partition, int] = {}
        self.commits: list[dict[Partition, int]] = []
        self.is_member = True
        self.commit_fails: Exception | None = None
        self.poll_fails: list[Exception] = []
        self.on_revoked: Callable[[Sequence[Partition]], Awaitable[None]] | None = None
        self.stopped = False

    async def start(self, on_revoked: Callable[[Sequence[Partition]], Awaitable[None]]) -> None:
        self.on_revoked = on_revoked

    async def poll(self, timeout: float, max_records: int) -> Sequence[Record]:
        await asyncio.sleep(0)
        if self.poll_fails:
            raise self.poll_fails.pop(0)
        if self.forced:
            return self.forced.pop(0)
        if self.polls and not any(each.partition in self.paused for each in self.polls[0]):
            return self.polls.pop(0)
        return []

    def lag(self) -> Mapping[str, int]:
        return {}

    def pause(self, partitions: Sequence[Partition]) -> None:
        self.paused |= set(partitions)

    def resume(self, partitions: Sequence[Partition]) -> None:
        self.paused -= set(partitions)

    def assigned(self) -> frozenset[Partition]:
        return frozenset(self.partitions)

    async def commit(self, offsets: Mapping[Partition, int]) -> bool:
        if self.commit_fails is not None:
            raise self.commit_fails
        self.commits.append(dict(offsets))
        if self.is_member:
            self.committed.update(offsets)
        return self.is_member

    async def revoke(self, *partitions: Partition) -> None:
        """What the client does when partitions are taken away."""
        assert self.on_revoked is not None
        await self.on_revoked(partitions)
        self.partitions -= set(partitions)

    async def stop(self) -> None:
        self.stopped = True


class FakeBroker(EachAlone):
    """Takes what is sent; `refuse` is asked first and raises what the broker would answer."""

    def __init__(self, refuse: Callable[[Message], None] = lambda _message: None) -> None:
        self.refuse = refuse
        self.sent: list[Message] = []

    @override
    async def send(self, message: Message) -> None:
        await asyncio.sleep(0)
        self.refuse(message)
        self.sent.append(message)


class FakeDispatcher:
    """Answers with `answer(record)`; a look-up whose first offset is in `held` waits until `release` is called."""

    def __init__(self, answer: "Callable[[Record], Answer | Undecoded]") -> None:
        self.answer = answer
        self.held: dict[int, asyncio.Future[None]] = {}
        self.looked_up: list[list[int]] = []
        self.cancelled: list[int] = []
        self.held_partitions: set[Partition] = set()
        self.most_at_once = self._at_once = 0

    def hold(self, offset: int) -> None:
        self.held[offset] = asyncio.get_running_loop().create_future()

    def release(self, offset: int, error: Exception | None = None) -> None:
        if error is None:
            self.held[offset].set_result(None)
        else:
            self.held[offset].set_exception(error)

    def revoked(self, partitions: Sequence[Partition]) -> None:
        """Nothing is kept of partitions."""

    def on_hold(self) -> Set[Partition]:
        return self.held_partitions

    async def receive(self, polled: Sequence[Record]) -> list[Answer | Undecoded]:
        first = polled[0].offset
        self.looked_up.append([each.offset for each in polled])
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if first in self.held:
                await self.held[first]
        except asyncio.CancelledError:
            self.cancelled.append(first)
            raise
        finally:
            self._at_once -= 1
        return [self.answer(each) for each in polled]


class Desk:
    """A command loop under way, and what stands around it."""

    def __init__(
        self,
        consumer: FakeConsumer,
        answer: "Callable[[Record], Answer | Undecoded]",
        *,
        capacity: int = 100,
        limit: Callable[[str, bool], int] = lambda _lane, _others: 1000,
        find_schema: FindSchema | None = None,
        most_in_hand: int = IN_HAND,
    ) -> None:
        self.consumer = consumer
        self.dispatcher = FakeDispatcher(answer)
        self.slots = Slots(capacity, limit, most_in_hand)
        self.readiness = Readiness((DATABASE, BROKER))
        self.dead_letters: dict[int, list[str]] = defaultdict(list)
        self.acknowledge_dead_letter: asyncio.Event | None = None
        self.stop = asyncio.Event()
        self.loop = CommandLoop(
            consumer,
            self.dispatcher,
            self.slots,
            self._send_dead_letter,
            self.readiness,
            find_schema,
        )
        self.running: asyncio.Task[None] | None = None

    async def _send_dead_letter(self, letter: Record, reason: str) -> None:
        self.dead_letters[letter.offset].append(reason)
        if self.acknowledge_dead_letter is not None:
            await self.acknowledge_dead_letter.wait()

    async def until(self, condition: Callable[[], Any]) -> None:
        """Lets the loop go on until this holds; fails where it never does."""
        await until(lambda: condition() or (self.running is not None and self.running.done()))
        assert condition(), "the command loop has ended"

    async def turns(self, number: int = 200) -> None:
        """Lets everything go on for a while, for what must not happen."""
        for _ in range(number):
            await asyncio.sleep(0)

    def begin(self, shutdown_timeout: float = 0.0) -> asyncio.Task[None]:
        self.running = asyncio.create_task(self.loop.run(self.stop, shutdown_timeout))
        return self.running


@asynccontextmanager
async def running(desk: Desk, shutdown_timeout: float = 0.0) -> AsyncIterator[Desk]:
    """The loop of the desk runs until the block ends; then it is stopped, and what it raised is raised."""
    loop = desk.begin(shutdown_timeout)
    try:
        yield desk
    finally:
        desk.stop.set()
        await asyncio.wait_for(loop, 10)
