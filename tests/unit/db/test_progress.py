"""How many tasks ended in the last minute: counted with their outcomes, in slots that are forgotten later."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select

from app.db import jobs, progress, tasks
from app.db.database import Database
from app.db.tables import job_progress
from app.domain.jobs import TaskId, TaskState
from app.domain.tasks import NoData, Outcome, PutBack, Settlement
from tests.support.rows import NOW, insert_job, publish

START = NOW.replace(second=30, microsecond=0)
"""The begin of a slot."""


async def count(database: Database, job_id: UUID, done: int, at: datetime) -> None:
    await database.run(lambda c: progress.count(c, {job_id: done}, at))


async def lately(database: Database, job_id: UUID, at: datetime) -> float | None:
    async with database.reading() as connection:
        return (await progress.of_last_minute(connection, [job_id], at)).get(job_id)


async def slots(database: Database) -> int:
    async with database.reading() as connection:
        return int((await connection.execute(select(func.count()).select_from(job_progress))).scalar_one())


async def test_outcomes_count_where_they_changed_a_task_and_nothing_else_does(database: Database) -> None:
    one, other = await insert_job(database, 5), await insert_job(database, 1)
    answers: list[Settlement] = [
        Outcome(TaskId(one, 0), TaskState.SUCCEEDED),
        Outcome(TaskId(one, 1), TaskState.FAILED, "HTTP 404", "a" * 32),
        NoData(TaskId(one, 2), "a" * 32),
        PutBack(TaskId(one, 3), NOW, 0),
        Outcome(TaskId(other, 0), TaskState.SUCCEEDED),
    ]
    await database.run(lambda c: tasks.settle(c, answers, NOW))
    await database.run(lambda c: tasks.settle(c, answers[:1], NOW))  # delivered again
    assert (await lately(database, one, NOW), await lately(database, other, NOW)) == (2.0, 1.0)


async def test_what_was_cancelled_has_not_been_done(database: Database) -> None:
    job_id = await insert_job(database, 3)
    await publish(database)
    await database.run(lambda c: jobs.cancel(c, job_id, jobs.Cancel("Dora", NOW, "cancelled by Dora")))
    assert await lately(database, job_id, NOW) is None


async def test_batches_of_one_slot_are_one_row(database: Database) -> None:
    job_id = await insert_job(database, 1)
    for seconds in (0, 1, 4.9):
        await count(database, job_id, 10, START + timedelta(seconds=seconds))
    assert (await lately(database, job_id, START + timedelta(seconds=5)), await slots(database)) == (30.0, 1)


@pytest.mark.parametrize(
    ("seconds", "counted"), [(0, 10), (55, 10), (60, 10), (61, 8), (62.5, 5), (64, 2), (65, None), (600, None)]
)
async def test_a_slot_counts_for_a_minute_and_leaves_it_bit_by_bit(
    database: Database, seconds: float, counted: float | None
) -> None:
    job_id = await insert_job(database, 1)
    await count(database, job_id, 10, START)
    found = await lately(database, job_id, START + timedelta(seconds=seconds))
    assert found == (None if counted is None else pytest.approx(counted))


async def test_a_clock_that_was_wrong_counts_for_no_ever(database: Database) -> None:
    job_id = await insert_job(database, 1)
    await count(database, job_id, 10, START + timedelta(days=1))
    assert await lately(database, job_id, START) is None
    assert await database.run(lambda c: progress.forget(c, START)) == 1


async def test_old_slots_are_forgotten_and_those_of_the_last_minute_are_kept(database: Database) -> None:
    job_id = await insert_job(database, 1)
    for seconds in range(0, 600, 5):
        await count(database, job_id, 1, START + timedelta(seconds=seconds))
    end = START + timedelta(seconds=599)
    before = await lately(database, job_id, end)
    assert await database.run(lambda c: progress.forget(c, end)) == 95
    assert await slots(database) == 25
    assert await lately(database, job_id, end) == before
    assert await database.run(lambda c: progress.forget(c, end)) == 0


async def test_no_jobs_have_no_progress(database: Database) -> None:
    async with database.reading() as connection:
        assert await progress.of_last_minute(connection, [], NOW) == {}
    await database.run(lambda c: progress.count(c, {}, NOW))
    assert await slots(database) == 0
