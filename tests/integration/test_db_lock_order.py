"""Two transactions on the same jobs and tasks wait for each other in one direction only: no deadlock."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, literal_column, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import causes, clock_repair, jobs, outbox, tasks
from app.db.database import Database
from app.db.tables import failure_cause, job, task
from app.domain.jobs import TaskId, TaskState
from app.domain.tasks import Outcome, PutBack
from tests.servers import Postgres
from tests.support.rows import LEASE, NOW, change_job, claim, insert_job, job_row, publish

Work = Callable[[AsyncConnection], Awaitable[Any]]

LATER = NOW + timedelta(minutes=1)


@pytest.fixture
async def database(postgres: Postgres, migrated: str) -> Any:
    opened = Database(postgres.create_database(f"l-{uuid4()}", migrated))
    yield opened
    await opened.close()


async def waiting(database: Database) -> int:
    """How many sessions wait for a lock of another one."""
    statement = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with database.reading() as connection:
        count: int = (await connection.execute(statement)).scalar_one()
    return count


async def meet(database: Database, held: Any, *works: Work) -> list[Any]:
    """Does the works side by side, none tried again, each begun while another transaction holds all of their rows.

    Whoever waits has the lock that it waits for as soon as that ends, and goes on to the next: works that lock in
    different orders deadlock each time.
    """

    async def alone(work: Work) -> Any:
        async with database.engine.begin() as connection:
            return await work(connection)

    async with database.engine.begin() as holder:
        await holder.execute(held.with_for_update())
        begun = []
        for work in works:
            begun.append(asyncio.create_task(alone(work)))
            async with asyncio.timeout(10):
                while await waiting(database) < len(begun):  # noqa: ASYNC110 - the server tells nobody
                    await asyncio.sleep(0.01)
    return await asyncio.gather(*begun)


async def two_jobs(database: Database) -> tuple[UUID, UUID]:
    """In the order of their ids, which is not the order in which the table has their rows."""
    low, high = sorted([await insert_job(database, 4), await insert_job(database, 4)])
    await change_job(database, low, topic="moved behind")
    return low, high


def done(job_id: UUID, position: int) -> Outcome:
    return Outcome(TaskId(job_id, position), TaskState.SUCCEEDED)


def hold(job_id: UUID, position: int) -> PutBack:
    return PutBack(TaskId(job_id, position), LATER, 1, hold_job=True)


async def test_batches_that_count_one_job_and_hold_another_do_not_deadlock(database: Database) -> None:
    low, high = await two_jobs(database)
    await meet(
        database,
        select(job.c.id),
        lambda c: tasks.settle(c, [done(high, 0), hold(low, 1)], LATER),
        lambda c: tasks.settle(c, [done(low, 2), hold(high, 3)], LATER),
    )
    for each in (low, high):
        row = await job_row(database, each)
        assert (row["open"], row["succeeded"], row["held_until"]) == (3, 1, LATER)


async def test_a_relay_that_serves_jobs_and_a_batch_that_counts_them_do_not_deadlock(database: Database) -> None:
    low, high = await two_jobs(database)

    async def serve(connection: AsyncConnection) -> list[outbox.ItemId]:
        return await outbox.claim(connection, outbox.TASKS, NOW, lease_until=LEASE, window=100, batch=2)

    _, claimed = await meet(
        database,
        select(job.c.id),
        lambda c: tasks.settle(c, [done(low, 3), done(high, 3)], LATER),
        serve,
    )
    assert {item.owner_id for item in claimed} == {low, high}
    assert [(await job_row(database, each))["relayed_at"] for each in (low, high)] == [NOW, NOW]


async def test_a_relay_that_marks_commands_and_a_batch_that_settles_them_do_not_deadlock(database: Database) -> None:
    job_id = await insert_job(database, 300)
    claimed = await claim(database, batch=300, window=300)
    later = [
        0,
        2,
        5,
    ]  # their rows go behind all others, so that the table has them in another order than their positions
    await database.run(
        lambda c: c.execute(update(task).where(task.c.position.in_(later)).values(message=literal_column("'moved'")))
    )
    await database.run(lambda c: c.execute(text("ANALYZE backfill_task")))
    marked, settled = await meet(
        database,
        select(task.c.position),
        lambda c: outbox.mark_published(c, outbox.TASKS, claimed, LEASE, NOW),
        lambda c: tasks.settle(c, [done(job_id, position) for position in range(300)], LATER),
    )
    assert marked == 300
    assert len(settled.changed) == 300


async def test_a_clock_that_is_brought_back_and_a_batch_that_counts_do_not_deadlock(database: Database) -> None:
    low, high = await two_jobs(database)
    await publish(database, now=LATER, lease=LATER + timedelta(seconds=30))
    await meet(
        database,
        select(job.c.id),
        lambda c: tasks.settle(c, [done(low, 3), done(high, 3)], NOW),
        lambda c: clock_repair.release_owners(c, outbox.TASKS, NOW, None),
    )
    async with database.reading() as connection:
        assert (await connection.execute(select(func.max(job.c.relayed_at)))).scalar_one() == NOW


async def test_batches_that_count_causes_of_two_jobs_and_one_that_counts_afterwards_do_not_deadlock(
    database: Database,
) -> None:
    low, high = await two_jobs(database)

    def failed(job_id: UUID, position: int, message: str) -> Outcome:
        return Outcome(TaskId(job_id, position), TaskState.FAILED, message)

    uncounted = update(task).where(task.c.position == 3).values(state="failed", message="b", finished_at=NOW)
    await database.run(lambda c: c.execute(uncounted))
    await meet(
        database,
        select(job.c.id),
        lambda c: tasks.settle(c, [failed(high, 0, "a"), failed(low, 0, "b")], LATER),
        lambda c: tasks.settle(c, [failed(low, 1, "a"), failed(high, 1, "b")], LATER),
        lambda c: causes.count_uncounted(c, high, 10),
        lambda c: jobs.cancel(c, low, jobs.Cancel("John Doe", LATER, "b")),
    )
    counted = select(failure_cause.c.job_id, failure_cause.c.cause, failure_cause.c.failed)
    async with database.reading() as connection:
        found = {(job_id, cause): number for job_id, cause, number in await connection.execute(counted)}
    assert found == {(low, "a"): 1, (low, "b"): 2, (high, "a"): 1, (high, "b"): 2}
