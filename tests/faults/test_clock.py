"""The clock of the machine jumps by a day: what was written before it did holds no job back."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select
from typing_extensions import override

from app.broker import Message
from app.broker.messages import Publisher
from app.db import live_jobs, tasks
from app.db.database import Database
from app.db.tables import job, task
from app.domain.identity import live_job_id
from app.domain.jobs import JobState, TaskId, TaskState
from app.domain.readiness import Readiness
from app.domain.tasks import Outcome, PutBack
from app.messaging.owed import CreateArtifactCommands
from app.messaging.relay import LEASE, Clocks, Relay, RelayOptions
from tests.support.each_alone import EachAlone
from tests.support.live import TYPE, insert_live, new_task
from tests.support.rows import NOW, claim, insert_job, job_row, publish, task_row

DAY = timedelta(days=1)


class Clock:
    """The time of day, and the steady clock that no jump touches."""

    def __init__(self) -> None:
        self.steady = 1000.0
        self.jumped = timedelta(0)

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.steady - 1000.0) + self.jumped


class Taking(EachAlone):
    """A broker that takes everything."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    @override
    async def send(self, message: Message) -> None:
        self.sent.append(message)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def relay_of(database: Database, clock: Clock) -> tuple[Relay, Taking]:
    broker = Taking()
    relay = Relay(
        database,
        broker,  # type: ignore[arg-type] # it only takes
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


async def test_over_midnight_and_with_clocks_that_differ_each_message_is_one_task_and_the_job_of_yesterday_ends(
    database: Database, dice: random.Random
) -> None:
    """Four processes take messages in, settle tasks and end jobs; each message is delivered to two of them."""
    midnight = datetime(2026, 12, 1, tzinfo=UTC)
    skews = [timedelta(seconds=seconds) for seconds in (-90, -5, 0, 90)]
    names = [f"m{number}" for number in range(240)]
    deliveries = [(each, process) for each in names for process in dice.sample(range(4), 2)]
    dice.shuffle(deliveries)

    async def one_process(process: int, now: datetime, share: list[tuple[str, int]]) -> None:
        taken = [new_task(name, f"r{name[-1]}") for name, to in share if to == process]
        if taken:
            await insert_live(database, now, *taken)
        await settle_some(database, now, 7)
        await database.run(lambda c: live_jobs.complete(c, now))

    for step in range(24):
        now = midnight + timedelta(seconds=10 * (step - 12))
        share = deliveries[step::24]
        await asyncio.gather(*(one_process(place, now + skew, share) for place, skew in enumerate(skews)))
    while await settle_some(database, midnight, 100):
        pass
    await database.run(lambda c: live_jobs.complete(c, midnight + timedelta(minutes=2)))

    async with database.reading() as connection:
        keys = select(func.count(), func.count(task.c.reference_key.distinct()))
        assert (await connection.execute(keys)).one() == (len(names), len(names))
        jobs = {row.id: row for row in await connection.execute(select(job))}
    yesterday, today = (live_job_id(TYPE, midnight.date() - timedelta(days=days)) for days in (1, 0))
    assert jobs.keys() == {yesterday, today}
    assert [jobs[each].state for each in (yesterday, today)] == [JobState.COMPLETED, JobState.OPEN]
    assert [jobs[each].open for each in (yesterday, today)] == [0, 0]
    assert jobs[yesterday].succeeded + jobs[today].succeeded == len(names)
    assert min(jobs[yesterday].total, jobs[today].total) > 0


async def settle_some(database: Database, now: datetime, most: int) -> int:
    """Some open tasks succeed; how many were looked at."""
    some = select(task.c.job_id, task.c.position).where(task.c.state == TaskState.OPEN).limit(most)
    async with database.reading() as connection:
        found = [TaskId(*row) for row in await connection.execute(some)]
    outcomes = [Outcome(each, TaskState.SUCCEEDED) for each in found]
    await database.run(lambda c: tasks.settle(c, outcomes, now))
    return len(found)
