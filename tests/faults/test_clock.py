"""The clock of the machine jumps by a day: what was written before it did holds no job back."""

from datetime import datetime, timedelta

import pytest

from app.broker import Message
from app.broker.messages import Publisher
from app.db import tasks
from app.db.database import Database
from app.domain.jobs import TaskId
from app.domain.readiness import Readiness
from app.domain.tasks import PutBack
from app.messaging.owed import CreateArtifactCommands
from app.messaging.relay import LEASE, Clocks, Relay, RelayOptions
from tests.support.rows import NOW, claim, insert_job, job_row, publish, task_row

DAY = timedelta(days=1)


class Clock:
    """The time of day, and the steady clock that no jump touches."""

    def __init__(self) -> None:
        self.steady = 1000.0
        self.jumped = timedelta(0)

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.steady - 1000.0) + self.jumped


class Taking:
    """A broker that takes everything."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    async def send(self, message: Message) -> None:
        self.sent.append(message)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def relay_of(database: Database, clock: Clock) -> tuple[Relay, Taking]:
    broker = Taking()
    relay = Relay(
        database,
        broker,  # type: ignore[arg-type] # only `send` is asked for
        Readiness(()),
        CreateArtifactCommands("commands", Publisher("psf", "pas")),
        RelayOptions(window=1000, redelivery_after=3600),
        Clocks(clock.now, lambda: clock.steady),
    )
    return relay, broker


async def turn(relay: Relay) -> None:
    await relay.look_at_clock()
    await relay.publish_once()


async def put_back(database: Database, task_id: TaskId, until: datetime) -> None:
    await database.run(lambda c: tasks.settle(c, [PutBack(task_id, until, 1, hold_job=True)], NOW))


async def test_a_pause_that_was_asked_for_before_the_clock_went_back_ends(database: Database, clock: Clock) -> None:
    job_id = await insert_job(database, 3)
    relay, broker = relay_of(database, clock)
    clock.jumped = DAY
    await turn(relay)
    assert len(broker.sent) == 3
    await put_back(database, TaskId(job_id, 1), clock.now() + timedelta(seconds=30))
    clock.jumped = timedelta(0)
    await turn(relay)
    assert len(broker.sent) == 4
    assert (await job_row(database, job_id))["held_until"] is None


async def test_a_process_that_starts_after_the_clock_went_back_sees_it_too(database: Database, clock: Clock) -> None:
    job_id = await insert_job(database, 3)
    clock.jumped = DAY
    await turn(relay_of(database, clock)[0])
    await put_back(database, TaskId(job_id, 1), clock.now() + timedelta(seconds=30))
    clock.jumped = timedelta(0)
    relay, broker = relay_of(database, clock)
    await turn(relay)
    assert len(broker.sent) == 1


async def test_a_claim_of_a_process_that_died_before_the_clock_went_back_is_free_again(
    database: Database, clock: Clock
) -> None:
    await insert_job(database, 3)
    await claim(database, now=NOW + DAY, lease=NOW + DAY + LEASE)
    relay, broker = relay_of(database, clock)
    await turn(relay)
    assert len(broker.sent) == 3


async def test_a_command_published_in_the_future_counts_as_published_now(database: Database, clock: Clock) -> None:
    job_id = await insert_job(database, 1)
    await publish(database, now=NOW + DAY, lease=NOW + DAY + LEASE)
    relay, broker = relay_of(database, clock)
    await turn(relay)
    assert broker.sent == []
    assert (await task_row(database, TaskId(job_id, 0)))["published_at"] == NOW
    clock.steady += 3700
    await relay.owe_again(clock.now() - timedelta(hours=1))
    await turn(relay)
    assert len(broker.sent) == 1


async def test_a_clock_that_goes_forward_ends_pauses_and_leases_early_and_nothing_else(
    database: Database, clock: Clock
) -> None:
    job_id = await insert_job(database, 3)
    relay, broker = relay_of(database, clock)
    await turn(relay)
    await put_back(database, TaskId(job_id, 1), clock.now() + timedelta(seconds=30))
    await turn(relay)
    assert len(broker.sent) == 3
    clock.jumped = DAY
    await turn(relay)
    assert len(broker.sent) == 4


async def test_a_pause_that_a_source_asked_for_is_kept_while_the_clock_goes_on(
    database: Database, clock: Clock
) -> None:
    job_id = await insert_job(database, 1)
    relay, broker = relay_of(database, clock)
    await turn(relay)
    await put_back(database, TaskId(job_id, 0), clock.now() + timedelta(hours=20))
    await turn(relay_of(database, clock)[0])
    clock.steady += 3600
    await turn(relay)
    assert len(broker.sent) == 1
