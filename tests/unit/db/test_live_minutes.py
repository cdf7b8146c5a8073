"""What ended of live archiving, by archive type and part of the time."""

from datetime import timedelta

from sqlalchemy import select

from app.db import live_minutes, minutes, tasks
from app.db.database import Database
from app.db.tables import job
from app.domain.jobs import TaskId, TaskState
from app.domain.minutes import DAY, Course
from app.domain.tasks import Outcome
from app.jobs.minutes import JobMinutes
from tests.support.live import insert_live, new_task
from tests.support.rows import NOW, insert_job

MINUTE = int(NOW.timestamp() // 60)


def parts(found: Course) -> dict[int, tuple[int, int]]:
    """Minutes after NOW in which something ended."""
    return {each.minute - MINUTE: each[1:] for each in found.parts if any(each[1:])}


async def ends(database: Database, message: str, after: timedelta, *states: TaskState, archive_type: str = "A") -> None:
    """Messages of one poll become tasks, end and are counted, so long after NOW."""
    at = NOW + after
    made = [new_task(f"{message}-{number}", archive_type=archive_type) for number in range(len(states))]
    await insert_live(database, at, *made)
    async with database.reading() as connection:
        newest = select(job.c.id, job.c.total).where(job.c.message == archive_type).order_by(job.c.started.desc())
        job_id, total = (await connection.execute(newest.limit(1))).one()
    first = total - len(states)
    outcomes = [
        Outcome(TaskId(job_id, first + number), state, "HTTP 404" if state is TaskState.FAILED else None)
        for number, state in enumerate(states)
    ]
    await database.run(lambda c: tasks.settle(c, outcomes, at))
    await database.run(lambda c: minutes.read(c, [job_id], at))


OK, BAD = TaskState.SUCCEEDED, TaskState.FAILED


async def test_what_ended_of_each_type_is_counted_in_its_minute_over_midnight(database: Database) -> None:
    history = JobMinutes(database)
    await ends(database, "m1", timedelta(0), OK, OK)
    await ends(database, "m2", timedelta(minutes=5), OK, BAD)
    await ends(database, "m3", timedelta(minutes=5), BAD, archive_type="B")
    found = await history.live(1, NOW + timedelta(minutes=10))
    a, b = ("A", None), ("B", None)
    assert {name: parts(course) for name, course in found.items()} == {
        a: {0: (2, 0), 5: (1, 1)},
        b: {5: (0, 1)},
    }
    assert {len(course.parts) for course in found.values()} == {11}, "all over the same time"
    tomorrow = timedelta(hours=22)
    await ends(database, "m4", tomorrow, OK)
    found = await history.live(1, NOW + tomorrow)
    assert found[a].step == 30
    assert sum(each.succeeded for each in found[a].parts) == 4, "of both jobs"


async def test_what_ended_before_the_time_does_not_count_again(database: Database) -> None:
    await ends(database, "m1", timedelta(0), OK, OK, OK)
    await ends(database, "m2", timedelta(minutes=30), OK)
    history = JobMinutes(database)
    later = NOW + timedelta(minutes=DAY + 10)
    (found,) = (await history.live(1, later)).values()
    assert list(parts(found).values()) == [(1, 0)]
    assert await history.live(1, NOW + timedelta(days=3)) == {}
    (week,) = (await history.live(7, NOW + timedelta(days=3))).values()
    assert sum(each.succeeded for each in week.parts) == 4


async def test_jobs_of_people_are_not_live_archiving(database: Database) -> None:
    job_id = await insert_job(database, 1)
    await database.run(lambda c: tasks.settle(c, [Outcome(TaskId(job_id, 0), OK)], NOW))
    history = JobMinutes(database)
    await history.read(NOW, thin=False)
    assert await history.live(1, NOW) == {}
    async with database.reading() as connection:
        assert await live_minutes.ended(connection, MINUTE, 1, NOW) == []
