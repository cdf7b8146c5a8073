"""Notes and outcomes on SQLite and PostgreSQL: a task ends once, a job ends with its last task and only then."""

import asyncio
import random
from datetime import timedelta
from uuid import UUID

import pytest

from app.db import jobs, reports, tasks
from app.db.database import Database
from app.domain.identity import reference_key
from app.domain.jobs import Reference, TaskId, TaskState
from app.domain.tasks import NoData, Outcome, PutBack, Settlement, TaskKey
from tests.support.rows import NOW, insert_job, job_row, new_job, publish, stored_artifact, task_row

LATER = NOW + timedelta(minutes=1)


async def settle(database: Database, *answers: Settlement) -> tuple[set[TaskId], list[UUID]]:
    return (await database.run(lambda c: tasks.settle(c, answers, LATER)))[:2]


def done(job_id: UUID, position: int) -> Outcome:
    return Outcome(TaskId(job_id, position), TaskState.SUCCEEDED)


def failed(job_id: UUID, position: int) -> Outcome:
    return Outcome(TaskId(job_id, position), TaskState.FAILED, "HTTP 404", "a" * 32)


async def counters(database: Database, job_id: UUID) -> tuple[int, int, int]:
    row = await job_row(database, job_id)
    return row["open"], row["succeeded"], row["failed"]


async def test_outcomes_move_the_counters_and_the_last_one_ends_the_job(database: Database) -> None:
    job_id, other = await insert_job(database, 3), await insert_job(database, 2)
    changed, completed = await settle(database, done(job_id, 0), failed(job_id, 2), done(other, 1))
    assert changed == {TaskId(job_id, 0), TaskId(job_id, 2), TaskId(other, 1)}
    assert completed == []
    assert await counters(database, job_id) == (1, 1, 1)
    assert await counters(database, other) == (1, 1, 0)
    assert (await job_row(database, job_id))["completed"] is None

    assert await settle(database, done(job_id, 1)) == ({TaskId(job_id, 1)}, [job_id])
    row = await job_row(database, job_id)
    assert (row["state"], row["completed"], row["last_settled"]) == ("completed", LATER, LATER)
    assert (await job_row(database, other))["state"] == "open"


async def test_a_task_has_one_outcome_whoever_comes_later(database: Database) -> None:
    job_id = await insert_job(database, 2)
    await settle(database, failed(job_id, 0))
    assert await settle(database, done(job_id, 0), NoData(TaskId(job_id, 0), "t")) == (set(), [])
    assert await settle(database, PutBack(TaskId(job_id, 0), NOW, 1)) == (set(), [])
    assert await counters(database, job_id) == (1, 0, 1)
    row = await task_row(database, TaskId(job_id, 0))
    assert (row["state"], row["message"], row["trace_id"]) == ("failed", "HTTP 404", "a" * 32)


async def test_an_outcome_that_stands_twice_in_a_batch_counts_once(database: Database) -> None:
    job_id = await insert_job(database, 2)
    changed, _ = await settle(database, done(job_id, 0), done(job_id, 0), PutBack(TaskId(job_id, 0), NOW, 1))
    assert changed == {TaskId(job_id, 0)}
    assert await counters(database, job_id) == (1, 1, 0)


async def test_where_an_object_is_noted_nothing_but_success_is_recorded(database: Database) -> None:
    job_id = await insert_job(database, 1)
    task_id = TaskId(job_id, 0)
    stored = stored_artifact()
    assert await database.run(lambda c: tasks.note(c, [(task_id, stored)])) == {task_id}
    assert await settle(database, failed(job_id, 0), NoData(task_id, "t")) == (set(), [])
    assert await settle(database, PutBack(task_id, LATER, 1)) == ({task_id}, [])
    key = TaskKey(job_id, UUID(bytes=reference_key(Reference("ref-0"))))
    found = await database.run(lambda c: tasks.look_up(c, [key]))
    assert found[key].stored == stored
    assert await settle(database, done(job_id, 0)) == ({task_id}, [job_id])


async def test_the_first_note_of_a_task_counts(database: Database) -> None:
    job_id = await insert_job(database, 3)
    await settle(database, failed(job_id, 2))
    first, second, ended = (TaskId(job_id, n) for n in range(3))
    assert await database.run(lambda c: tasks.note(c, [(second, stored_artifact("1"))])) == {second}
    several = [(task_id, stored_artifact("2")) for task_id in (ended, second, first)]
    assert await database.run(lambda c: tasks.note(c, several)) == {first}
    assert '"version_id":"1"' in (await task_row(database, second))["stored"]


async def test_no_data_is_remembered_with_time_and_count(database: Database) -> None:
    job_id = await insert_job(database, 3)
    await publish(database)
    for _ in range(2):
        await settle(database, NoData(TaskId(job_id, 1), "b" * 32))
    row = await task_row(database, TaskId(job_id, 1))
    assert (row["no_data_count"], row["no_data_at"], row["trace_id"]) == (2, LATER, "b" * 32)
    async with database.reading() as connection:
        assert await jobs.count_without_data(connection, [job_id]) == {job_id: (1, LATER)}
    await settle(database, done(job_id, 1))
    async with database.reading() as connection:
        assert await jobs.count_without_data(connection, [job_id]) == {}


async def test_two_last_tasks_at_once_complete_the_job_once(database: Database) -> None:
    for _ in range(10):
        job_id = await insert_job(database, 8)
        answers = await asyncio.gather(*(settle(database, done(job_id, n)) for n in range(8)))
        assert [completed for _, completed in answers if completed] == [[job_id]]
        assert await counters(database, job_id) == (0, 8, 0)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_a_last_task_waits_for_the_other_last_task_that_is_not_committed(database: Database) -> None:
    job_id = await insert_job(database, 2)
    async with database.engine.connect() as one, database.engine.connect() as two:
        assert (await tasks.settle(one, [done(job_id, 0)], LATER))[1] == []
        other = asyncio.create_task(tasks.settle(two, [done(job_id, 1)], LATER))
        await asyncio.sleep(0.3)
        assert not other.done()
        await one.commit()
        assert (await other)[1] == [job_id]
        await two.commit()
    assert (await job_row(database, job_id))["state"] == "completed"


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_a_last_task_completes_the_job_when_the_other_transaction_is_rolled_back(database: Database) -> None:
    job_id = await insert_job(database, 2)
    async with database.engine.connect() as one:
        await tasks.settle(one, [done(job_id, 0)], LATER)
        other = asyncio.create_task(settle(database, done(job_id, 1)))
        await asyncio.sleep(0.1)
        await one.rollback()
    assert await other == ({TaskId(job_id, 1)}, [])
    assert await settle(database, done(job_id, 0)) == ({TaskId(job_id, 0)}, [job_id])


async def test_batches_in_any_order_do_not_deadlock(database: Database) -> None:
    job_ids = [await insert_job(database, 60) for _ in range(3)]
    every = [(job_id, position) for job_id in job_ids for position in range(60)]

    def shuffled() -> list[tuple[UUID, int]]:
        return random.Random(7).sample(every, len(every))

    async def note() -> None:
        objects = [(TaskId(*each), stored_artifact()) for each in shuffled()]
        await database.run(lambda c: tasks.note(c, objects))

    async def put_back() -> None:
        await settle(database, *(PutBack(TaskId(*each), NOW, 1, hold_job=True) for each in shuffled()))

    async def mixed() -> None:
        answers = [done(*each) if each[1] % 2 else NoData(TaskId(*each), "t") for each in shuffled()]
        await settle(database, *answers)

    await asyncio.gather(*(work() for work in (note, put_back, mixed) * 6))
    await settle(database, *(done(*each) for each in reversed(every)))
    for job_id in job_ids:
        assert await counters(database, job_id) == (0, 60, 0)


async def test_identical_jobs_that_race_are_inserted_once(database: Database) -> None:
    references = [Reference("ä/ö ?&=+%", 1), Reference("😀"), Reference("x" * 512, 2**31 - 1)]
    new = new_job(references)

    async def insert() -> bool:
        async def once(connection: object) -> bool:
            if not await jobs.insert_if_absent(connection, new):  # type: ignore[arg-type]
                return False
            await jobs.insert_tasks(connection, new.id, references)  # type: ignore[arg-type]
            return True

        return await database.run(once)

    inserted = await asyncio.gather(*(insert() for _ in range(8)))
    assert sorted(inserted) == [False] * 7 + [True]
    async with database.reading() as connection:
        assert await jobs.find(connection, new.id) == new
        page = await reports.page(connection, new.id, -1, 10, None)
    assert [each.reference for each in page] == references


async def test_pages_of_a_report_follow_the_submission_and_can_be_filtered(database: Database) -> None:
    job_id = await insert_job(database, 10)
    await settle(database, *(failed(job_id, n) for n in (2, 5, 7)))
    async with database.reading() as connection:
        positions, after = [], -1
        while page := await reports.page(connection, job_id, after, 4, None):
            positions += [each.position for each in page]
            after = page[-1].position
        only_failed = await reports.page(connection, job_id, 2, 10, TaskState.FAILED)
    assert positions == list(range(10))
    assert [(each.position, each.message) for each in only_failed] == [(5, "HTTP 404"), (7, "HTTP 404")]


async def test_commands_find_their_tasks_in_one_query_and_unknown_ones_are_absent(database: Database) -> None:
    job_id = await insert_job(database, 3)
    await settle(database, done(job_id, 1), PutBack(TaskId(job_id, 2), NOW, 2))
    keys = [TaskKey(job_id, UUID(bytes=reference_key(Reference(f"ref-{n}")))) for n in range(4)]
    found = await database.run(lambda c: tasks.look_up(c, [*keys, keys[0]]))
    assert [found[key].id.position for key in keys[:3]] == [0, 1, 2]
    assert keys[3] not in found
    assert [found[key].state for key in keys[:3]] == [TaskState.OPEN, TaskState.SUCCEEDED, TaskState.OPEN]
    assert found[keys[2]].attempts == 2
    assert found[keys[0]].job_started == NOW
