"""A topic that does not take a command: it is named with what to do, the command waits, and all others go on."""

import asyncio
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

import orjson

from app.broker import Broker, Message, MessageRejected
from app.broker.messages import Publisher
from app.db.database import Database
from app.domain.jobs import TaskId
from app.domain.readiness import BROKER, DATABASE, UNWATCHED, Readiness
from app.messaging.owed import CreateArtifactCommands
from app.messaging.relay import IDLE, LEASE, Clocks, Relay, RelayOptions
from tests.support.rows import NOW, insert_job, task_row
from tests.unit.messaging.fakes import FakeBroker, until

TOPIC = "topic commands"


class SmallTopic:
    """Refuses the commands of some jobs while it is `small`."""

    def __init__(self, *jobs: UUID) -> None:
        self.jobs = {str(job) for job in jobs}
        self.small = True
        self.asked = 0

    def __call__(self, message: Message) -> None:
        self.asked += 1
        if self.small and job_of(message) in self.jobs:
            raise MessageRejected(message.topic, "set its max.message.bytes to 4096 or more")


def job_of(message: Message) -> str:
    return str(orjson.loads(message.value or b"{}")["processId"])


def relay_of(
    database: Database, broker: FakeBroker, readiness: Readiness, clock: list[datetime], *, window: int = 100
) -> Relay:
    return Relay(
        database,
        cast("Broker", broker),
        readiness,
        CreateArtifactCommands("commands", Publisher("psf", "pas")),
        RelayOptions(window, redelivery_after=3600),
        Clocks(lambda: clock[0], lambda: (clock[0] - NOW).total_seconds()),
    )


async def test_a_topic_that_refuses_a_command_is_named_and_other_jobs_go_on(database: Database) -> None:
    large, small = await insert_job(database, 2), await insert_job(database, 3)
    broker, readiness, clock = FakeBroker(SmallTopic(large)), Readiness((DATABASE, BROKER)), [NOW]
    assert await relay_of(database, broker, readiness, clock).publish_once() == 3
    assert {job_of(message) for message in broker.sent} == {str(small)}
    assert readiness.problems[TOPIC] == "set its max.message.bytes to 4096 or more"
    assert (await task_row(database, TaskId(small, 0)))["published_at"] == NOW
    assert (await task_row(database, TaskId(large, 0)))["published_at"] is None


async def test_commands_that_get_through_do_not_end_the_problem_of_their_topic(database: Database) -> None:
    large, _ = await insert_job(database, 1), await insert_job(database, 1)
    broker, readiness, clock = FakeBroker(SmallTopic(large)), Readiness((DATABASE, BROKER)), [NOW]
    relay = relay_of(database, broker, readiness, clock)
    await relay.publish_once()
    await insert_job(database, 1)
    assert await relay.publish_once() == 1
    assert TOPIC in readiness.problems


async def test_a_refused_command_is_tried_again_after_its_lease_and_sent_once_the_topic_takes_it(
    database: Database,
) -> None:
    large = await insert_job(database, 2)
    topic = SmallTopic(large)
    broker, clock = FakeBroker(topic), [NOW]
    relay = relay_of(database, broker, Readiness(()), clock)
    for _ in range(5):
        assert await relay.publish_once() == 0
    assert topic.asked == 2, "within the lease nothing is tried again"
    clock[0] += LEASE + timedelta(seconds=1)
    assert await relay.publish_once() == 0
    assert topic.asked == 4
    topic.small = False
    clock[0] += LEASE + timedelta(seconds=1)
    assert await relay.publish_once() == 2
    assert len(broker.sent) == 2


async def test_a_job_of_which_every_command_is_refused_is_tried_for_no_more_than_its_window(
    database: Database,
) -> None:
    large = await insert_job(database, 50)
    topic = SmallTopic(large)
    relay = relay_of(database, FakeBroker(topic), Readiness(()), [NOW], window=10)
    for _ in range(5):
        await relay.publish_once()
    assert topic.asked == 10


async def test_the_relay_runs_on_when_its_topic_refuses_commands(database: Database) -> None:
    large = await insert_job(database, 3)
    broker, readiness = FakeBroker(SmallTopic(large)), Readiness((DATABASE, BROKER))
    relay, stop = relay_of(database, broker, readiness, [NOW]), asyncio.Event()
    running = asyncio.create_task(relay.run(stop))
    await until(lambda: TOPIC in readiness.problems)
    small = await insert_job(database, 3)
    relay.wake()
    await until(lambda: len(broker.sent) == 3)
    assert {job_of(message) for message in broker.sent} == {str(small)}
    assert not running.done()
    stop.set()
    await running


def test_a_refused_command_is_tried_again_before_its_problem_is_forgotten() -> None:
    assert LEASE.total_seconds() + 2 * IDLE < UNWATCHED
