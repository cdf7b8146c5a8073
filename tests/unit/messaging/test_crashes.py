"""The crash table of docs/architecture.md, rows relay, consume and look up: the crash is made at that line."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import UUID

import orjson
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from typing_extensions import override

from app.archiver.pipeline import Archiver
from app.archiver.records import Records
from app.broker import Broker, Consumer, Message, Partition, Record
from app.broker.embedded import EmbeddedBroker
from app.broker.messages import COMMAND_TYPE, Publisher
from app.db import tasks
from app.db.database import Database, Work
from app.domain.artifacts import ArchiveTask
from app.domain.jobs import TaskId, TaskState
from app.domain.readiness import Readiness
from app.domain.tasks import Outcome
from app.messaging.consumer import CommandLoop
from app.messaging.create_artifact import CreateArtifactHandler
from app.messaging.dispatch import Dispatcher
from app.messaging.owed import CreateArtifactCommands
from app.messaging.relay import LEASE, Clocks, Relay, RelayOptions
from app.messaging.slots import Slots
from tests.support.core import HISTORY
from tests.support.each_alone import EachAlone
from tests.support.rows import NOW, insert_job, job_row, stored_artifact, task_row
from tests.unit.messaging.fakes import until

T = TypeVar("T")
GROUP, TOPIC = "pas", "commands"


class Crash(BaseException):
    """The process is gone: nothing that it would still do reaches database or broker."""


class MortalDatabase(Database):
    """The database as one process sees it. `crash_in` lets the transaction do its work and dies before it commits."""

    is_dead = False
    crash_in: Callable[[], bool] = staticmethod(lambda: False)

    @override
    async def _run(self, way: Callable[[Work[T]], Awaitable[T]], work: Work[T]) -> T:
        if self.is_dead:
            raise Crash

        async def mortal(connection: AsyncConnection) -> T:
            done = await work(connection)
            if self.crash_in():
                self.is_dead = True
                raise Crash
            return done

        return await super()._run(way, mortal)


class MortalBroker(EachAlone):
    """The broker as one process sees it; it dies `before` or `after` a message is with the broker."""

    def __init__(self, process: "Process", broker: EmbeddedBroker, die: str) -> None:
        self.process, self.broker, self.die = process, broker, die

    @override
    async def send(self, message: Message) -> None:
        if self.die == "before":
            self.process.die()
        if self.process.is_dead:
            raise Crash
        await self.broker.send(message)
        if self.die == "after":
            self.process.die()


class MortalConsumer:
    """A consumer that reaches the broker only while its process lives; it may die in its next commit."""

    def __init__(self, process: "Process", consumer: Consumer) -> None:
        self.process, self.consumer = process, consumer
        self.dies_in_commit = False

    async def start(self, on_revoked: Callable[[Sequence[Partition]], Awaitable[None]]) -> None:
        await self.consumer.start(on_revoked)

    async def poll(self, timeout: float, max_records: int) -> Sequence[Record]:
        return await self._while_alive(self.consumer.poll(timeout, max_records))

    async def commit(self, offsets: Mapping[Partition, int]) -> bool:
        if self.dies_in_commit:
            self.process.die()
        return await self._while_alive(self.consumer.commit(offsets))

    async def stop(self) -> None:
        await self.consumer.stop()  # the broker notices by the session

    async def _while_alive(self, call: Awaitable[T]) -> T:
        if self.process.is_dead:
            cast("Any", call).close()
            raise Crash
        return await call

    def __getattr__(self, name: str) -> Any:
        return getattr(self.consumer, name)


class Steps:
    """In the place of the archiver: each task succeeds, but those of `stuck` wait without end."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.stuck: set[int] = set()
        self.runs: list[int] = []
        self.stored: list[bool] = []

    async def archive(self, task: ArchiveTask, on_stored: Callable[[], None], still_wanted: object) -> None:
        self.runs.append(task.id.position)
        self.stored.append(task.stored is not None)
        if task.id.position in self.stuck:
            await asyncio.Event().wait()
        on_stored()
        await self.records.settle(Outcome(task.id, TaskState.SUCCEEDED))


class Process:
    """One process of the service: a relay, and a command loop once `consume` is called."""

    def __init__(self, url: str, broker: EmbeddedBroker, *, seconds: float = 0, die: str = "") -> None:
        self.database = MortalDatabase(url)
        self.mortal = MortalBroker(self, broker, die)
        self.relay = Relay(
            self.database,
            cast("Broker", self.mortal),
            Readiness(()),
            CreateArtifactCommands(TOPIC, Publisher("psf", "pas")),
            RelayOptions(window=100, redelivery_after=3600),
            Clocks(lambda: NOW + timedelta(seconds=seconds), lambda: seconds),
        )
        records = Records(self.database, Readiness(()), HISTORY, lambda _: None)
        self.steps = Steps(records)
        self.handler = CreateArtifactHandler(records, cast("Archiver", self.steps), lambda _: "source", 3)
        self.consumer = MortalConsumer(self, broker.consumer([TOPIC], GROUP))
        self.loop: asyncio.Task[None] | None = None
        self.stop = asyncio.Event()

    @property
    def is_dead(self) -> bool:
        return self.database.is_dead

    def die(self) -> None:
        self.database.is_dead = True

    def consume(self) -> None:
        async def no_dead_letter(record: Record, reason: str) -> None:
            raise AssertionError(reason)

        dispatcher = Dispatcher({COMMAND_TYPE: self.handler}, "pas")
        slots = Slots(10, lambda _lane, _others: 10)
        loop = CommandLoop(self.consumer, dispatcher, slots, no_dead_letter, Readiness(()))
        self.loop = asyncio.create_task(loop.run(self.stop, 0))

    async def ended(self) -> None:
        """Waits for the command loop; that of a dead process ends with the crash."""
        assert self.loop is not None
        self.stop.set()
        with contextlib.suppress(Crash):
            await asyncio.wait_for(self.loop, 20)


class World:
    """The database file and the broker, which outlive all processes."""

    def __init__(self, url: str, database: Database, broker: EmbeddedBroker) -> None:
        self.url, self.database, self.broker = url, database, broker
        self._processes: list[Process] = []

    def process(self, **arguments: Any) -> Process:
        self._processes.append(Process(self.url, self.broker, **arguments))
        return self._processes[-1]

    @property
    def sent(self) -> list[dict[str, Any]]:
        """All commands with the broker that are not committed."""
        return [orjson.loads(each.value or b"") for each in self.broker._queues[TOPIC].read(0, 1000)]

    @property
    def committed(self) -> int:
        return self.broker._queues[TOPIC].committed(GROUP)

    async def rows(self, job_id: UUID) -> list[dict[str, Any]]:
        return [await task_row(self.database, TaskId(job_id, position)) for position in range(3)]

    async def close(self) -> None:
        for process in self._processes:
            await process.database.close()


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    broker = EmbeddedBroker(tmp_path, {TOPIC})
    await broker.start()
    world = World(f"sqlite:///{tmp_path / 'pas.sqlite'}", database, broker)
    yield world
    await world.close()


async def crashes(relay: Relay) -> None:
    with pytest.raises(Crash):
        await relay.publish_once()


async def test_relay_a_crash_before_the_claim_is_committed_leaves_nothing(world: World) -> None:
    await insert_job(world.database, 3)
    first = world.process()
    first.database.crash_in = lambda: True
    await crashes(first.relay)
    assert world.sent == []
    assert await world.process().relay.publish_once() == 3, "at once: no lease was taken"


async def test_relay_a_crash_between_claim_and_send_delays_the_commands_by_the_lease(world: World) -> None:
    await insert_job(world.database, 3)
    await crashes(world.process(die="before").relay)
    assert world.sent == []
    assert await world.process(seconds=LEASE.total_seconds()).relay.publish_once() == 0
    assert await world.process(seconds=LEASE.total_seconds() + 1).relay.publish_once() == 3
    assert len(world.sent) == 3


@pytest.mark.parametrize("line", ["before the mark", "before the mark is committed"])
async def test_relay_a_crash_between_send_and_mark_sends_a_command_twice_which_is_harmless(
    world: World, line: str
) -> None:
    job_id = await insert_job(world.database, 3)
    first = world.process()
    if line == "before the mark":
        first.mortal.die = "after"
        world_sends = 1  # the process dies with the first acknowledgement
    else:
        first.database.crash_in = lambda: len(world.sent) == 3
        world_sends = 3
    await crashes(first.relay)
    assert len(world.sent) == world_sends
    assert all(row["published_at"] is None for row in await world.rows(job_id))

    second = world.process(seconds=LEASE.total_seconds() + 1)
    assert await second.relay.publish_once() == 3
    ids = [command["identity"]["idempotenceId"] for command in world.sent]
    assert len(ids) == world_sends + 3
    assert len(set(ids)) == 3

    second.consume()
    await until(lambda: world.committed == len(ids))
    await second.ended()
    job = await job_row(world.database, job_id)
    assert (job["state"], job["succeeded"], job["failed"]) == ("completed", 3, 0)


async def test_relay_a_crash_after_the_mark_leaves_nothing_to_do(world: World) -> None:
    await insert_job(world.database, 3)
    first = world.process()
    await first.relay.publish_once()
    first.die()
    assert await world.process(seconds=LEASE.total_seconds() + 1).relay.publish_once() == 0
    assert len(world.sent) == 3


async def published(world: World) -> UUID:
    job_id = await insert_job(world.database, 3)
    await world.process().relay.publish_once()
    return job_id


async def test_consume_a_crash_while_work_runs_delivers_commands_again_from_the_first_unsettled_one(
    world: World,
) -> None:
    job_id = await published(world)
    first = world.process()
    first.steps.stuck = {1}
    first.consume()
    await until(lambda: world.committed == 1 and first.steps.runs == [0, 1, 2])
    await settled(world, TaskId(job_id, 2))
    assert world.committed == 1, "the second command is not settled, so the third is not committed"
    first.die()
    await first.ended()
    assert (await task_row(world.database, TaskId(job_id, 1)))["state"] == "open"

    second = world.process()
    second.consume()
    await until(lambda: world.committed == 3)
    await second.ended()
    assert second.steps.runs == [1], "what is settled is acknowledged and not done again"
    assert (await job_row(world.database, job_id))["succeeded"] == 3


async def test_consume_a_crash_in_the_commit_delivers_settled_commands_again_which_are_acknowledged(
    world: World,
) -> None:
    job_id = await published(world)
    first = world.process()
    first.consumer.dies_in_commit = True
    first.consume()
    await until(lambda: first.is_dead)
    await first.ended()
    assert world.committed == 0
    before = await world.rows(job_id)

    second = world.process()
    second.consume()
    await until(lambda: world.committed == 3)
    await second.ended()
    done = [row["position"] for row in before if row["state"] == "succeeded"]
    assert done, "the crash came after something was settled"
    assert not set(second.steps.runs) & set(done)
    assert (await job_row(world.database, job_id))["succeeded"] == 3


@pytest.mark.parametrize("line", ["before the look-up", "in the look-up"])
async def test_look_up_a_crash_leaves_nothing(world: World, line: str) -> None:
    job_id = await published(world)
    before = await world.rows(job_id)
    first = world.process()
    if line == "in the look-up":
        first.database.crash_in = lambda: True
    else:
        first.die()
        first.consumer.process = world.process()  # the poll is still answered
    first.consume()
    assert first.loop is not None
    await until(first.loop.done)
    await first.ended()
    assert await world.rows(job_id) == before
    assert world.committed == 0
    assert first.steps.runs == []

    second = world.process()
    second.consume()
    await until(lambda: world.committed == 3)
    await second.ended()
    assert second.steps.runs == [0, 1, 2]


async def test_look_up_of_a_task_that_is_stored_already_goes_on_at_announce(world: World) -> None:
    job_id = await published(world)
    await world.database.run(lambda c: tasks.note(c, [(TaskId(job_id, 1), stored_artifact())]))
    process = world.process()
    process.consume()
    await until(lambda: world.committed == 3)
    await process.ended()
    assert dict(zip(process.steps.runs, process.steps.stored, strict=True)) == {0: False, 1: True, 2: False}


async def settled(world: World, task_id: TaskId) -> None:
    for _ in range(1000):
        if (await task_row(world.database, task_id))["state"] != "open":
            return
        await asyncio.sleep(0.001)
    raise AssertionError("never settled")
