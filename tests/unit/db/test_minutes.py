"""The course of jobs by the minute, and its thinning out after a day."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from app.db import minutes, tasks
from app.db.database import Database
from app.domain.jobs import TaskId, TaskState
from app.domain.minutes import Course, Part, Reading, course_of
from app.domain.tasks import Outcome
from app.jobs.minutes import JobMinutes
from tests.support.rows import NOW, insert_job

MINUTE = int(NOW.timestamp() // 60)


async def settle(database: Database, job_id: UUID, position: int, state: TaskState, at: datetime) -> None:
    message = "HTTP 404" if state is TaskState.FAILED else None
    outcome = Outcome(TaskId(job_id, position), state, message)
    await database.run(lambda c: tasks.settle(c, [outcome], at))


async def read(database: Database, job_id: UUID, at: datetime) -> None:
    await database.run(lambda c: minutes.read(c, [job_id], at))


async def test_counters_are_read_where_something_ended_and_nowhere_else(database: Database) -> None:
    job_id, idle = await insert_job(database, 5), await insert_job(database, 1)
    history = JobMinutes(database)
    await history.read(NOW, thin=True)
    assert (await history.of(job_id)).parts == ()
    await settle(database, job_id, 0, TaskState.SUCCEEDED, NOW)
    await settle(database, job_id, 1, TaskState.FAILED, NOW)
    for _ in range(2):  # two processes write the same
        await history.read(NOW, thin=False)
    later = NOW + timedelta(minutes=2)
    await settle(database, job_id, 2, TaskState.SUCCEEDED, later)
    await history.read(later, thin=False)
    found = await history.of(job_id)
    assert found == Course(1, (Part(MINUTE, 1, 1), Part(MINUTE + 1, 0, 0), Part(MINUTE + 2, 1, 0)))
    assert (await history.of(idle)).parts == ()
    await history.read(later + timedelta(minutes=1), thin=True)
    assert await history.of(job_id) == found, "nothing has ended since"


async def test_after_a_day_the_last_reading_of_each_hour_stays(database: Database) -> None:
    job_id = await insert_job(database, 5)
    begin = NOW.replace(minute=0)
    first = int(begin.timestamp() // 60)
    for number, minute in enumerate((0, 7, 59, 60)):
        at = begin + timedelta(minutes=minute)
        await settle(database, job_id, number, TaskState.SUCCEEDED, at)
        await read(database, job_id, at)
    assert await database.run(lambda c: minutes.thin(c, begin + timedelta(hours=1))) == 0
    assert await database.run(lambda c: minutes.thin(c, begin + timedelta(days=3))) == 2
    async with database.reading() as connection:
        assert await minutes.of(connection, job_id) == [Reading(first + 59, 3, 0), Reading(first + 60, 4, 0)]


@pytest.mark.parametrize(("spans", "step"), [(59, 1), (60, 2), (600, 15), (100_000, 1440)])
def test_a_long_course_has_longer_parts(spans: int, step: int) -> None:
    found = course_of([Reading(1000, 10, 0), Reading(1000 + spans, 30, 5)])
    assert found.step == step
    assert (sum(each.succeeded for each in found.parts), sum(each.failed for each in found.parts)) == (30, 5)
    assert [each.minute % step for each in found.parts] == [0] * len(found.parts)
