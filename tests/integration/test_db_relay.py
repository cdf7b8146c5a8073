"""The task rows as outbox, on SQLite and PostgreSQL: windows, turns, leases, and answers that come before the mark."""

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import UUID

from app.db import jobs, outbox, tasks
from app.db.database import Database
from app.domain.jobs import TaskId, TaskState
from app.domain.tasks import NoData, Outcome, PutBack, Settlement
from tests.support.rows import LEASE, NOW, change_job, claim, insert_job, job_row, publish, task_row


def by_job(owed: list[TaskId]) -> Counter[UUID]:
    return Counter(command.job_id for command in owed)


async def answer(database: Database, *answers: Settlement) -> None:
    await database.run(lambda c: tasks.settle(c, answers, NOW))


async def test_commands_are_claimed_in_the_order_of_submission_and_only_once(database: Database) -> None:
    job_id = await insert_job(database, 5)
    first = await claim(database, batch=3)
    assert first == [TaskId(job_id, n) for n in range(3)]
    assert [command.position for command in await claim(database)] == [3, 4]
    assert await claim(database) == []


async def test_two_processes_never_claim_the_same_command(database: Database) -> None:
    await insert_job(database, 300)
    claims = await asyncio.gather(*(claim(database, batch=30, window=1000) for _ in range(10)))
    claimed = [item for owed in claims for item in owed]
    assert len(claimed) == len(set(claimed)) == 300


async def test_a_window_bounds_what_is_sent_and_not_answered(database: Database) -> None:
    job_id = await insert_job(database, 20)
    assert len(await claim(database, window=5)) == 5  # being sent counts
    assert await claim(database, window=5) == []
    await database.run(
        lambda c: outbox.mark_published(c, outbox.TASKS, [TaskId(job_id, n) for n in range(5)], LEASE, NOW)
    )
    assert await claim(database, window=5) == []
    assert await outstanding(database) == 5


async def test_every_kind_of_answer_makes_room_in_the_window(database: Database) -> None:
    job_id = await insert_job(database, 20)
    await publish(database, window=4)
    await answer(
        database,
        Outcome(TaskId(job_id, 0), TaskState.SUCCEEDED),
        Outcome(TaskId(job_id, 1), TaskState.FAILED, "m", "t"),
        NoData(TaskId(job_id, 2), "t"),
        PutBack(TaskId(job_id, 3), NOW + timedelta(hours=1), 1),
    )
    assert [command.position for command in await claim(database, window=4)] == [4, 5, 6, 7]


async def outstanding(database: Database) -> int:
    async with database.reading() as connection:
        return await outbox.count_outstanding(connection, outbox.TASKS)


async def test_a_small_job_is_not_behind_a_large_one(database: Database) -> None:
    large = await insert_job(database, 500)
    small = await insert_job(database, 2, started=NOW + timedelta(hours=1))
    claimed = by_job(await claim(database, batch=10, window=1000))
    assert claimed[small] == 2
    assert claimed[large] >= 5


async def test_jobs_served_longest_ago_come_first(database: Database) -> None:
    everyone = [await insert_job(database, 3, started=NOW + timedelta(seconds=n)) for n in range(120)]
    first = by_job(await claim(database, now=NOW, batch=100))
    assert first == dict.fromkeys(everyone[:100], 1)
    second = by_job(await claim(database, now=NOW + timedelta(seconds=1), batch=100))
    assert set(everyone[100:]) <= set(second)


async def test_paused_held_and_completed_jobs_are_left_out(database: Database) -> None:
    paused, held, done, due = [await insert_job(database, 1) for _ in range(4)]
    await change_job(database, paused, paused=True)
    await change_job(database, held, held_until=NOW + timedelta(seconds=1))
    await answer(database, Outcome(TaskId(done, 0), TaskState.SUCCEEDED))
    assert by_job(await claim(database)) == {due: 1}
    assert by_job(await claim(database, now=NOW + timedelta(seconds=1))) == {held: 1}


async def test_a_claim_of_a_process_that_died_is_free_after_its_lease(database: Database) -> None:
    job_id = await insert_job(database, 2)
    await claim(database)
    assert await claim(database, now=LEASE) == []
    later, next_lease = LEASE + timedelta(seconds=1), LEASE + timedelta(seconds=60)
    assert by_job(await claim(database, now=later, lease=next_lease)) == {job_id: 2}
    both = [TaskId(job_id, 0), TaskId(job_id, 1)]
    assert (
        await database.run(lambda c: outbox.mark_published(c, outbox.TASKS, both, LEASE, later)) == 0
    )  # no longer its claim
    assert await database.run(lambda c: outbox.mark_published(c, outbox.TASKS, both, next_lease, later)) == 2


async def test_a_claim_that_could_not_be_sent_is_given_back_at_once(database: Database) -> None:
    job_id = await insert_job(database, 3)
    await claim(database)
    gone = [TaskId(job_id, 0), TaskId(job_id, 2)]
    assert await database.run(lambda c: outbox.release(c, outbox.TASKS, gone, LEASE)) == 2
    assert await claim(database) == gone


async def test_a_put_back_that_comes_before_the_mark_stays(database: Database) -> None:
    job_id = await insert_job(database, 1)
    (owed,) = await claim(database)
    await answer(database, PutBack(owed, NOW + timedelta(seconds=9), 2))
    assert await database.run(lambda c: outbox.mark_published(c, outbox.TASKS, [owed], LEASE, NOW)) == 0
    row = await task_row(database, owed)
    assert (row["published_at"], row["claimed_until"], row["attempts"]) == (None, None, 2)
    assert await claim(database, now=NOW + timedelta(seconds=8)) == []
    assert by_job(await claim(database, now=NOW + timedelta(seconds=9))) == {job_id: 1}


async def test_no_data_that_comes_before_the_mark_stays_answered(database: Database) -> None:
    await insert_job(database, 1)
    (owed,) = await claim(database)
    await answer(database, NoData(owed, "t"))
    assert await database.run(lambda c: outbox.mark_published(c, outbox.TASKS, [owed], LEASE, NOW)) == 0
    row = await task_row(database, owed)
    assert (row["answered"], row["no_data_count"], row["state"]) == (True, 1, "open")
    assert await outstanding(database) == 0
    assert await claim(database, now=NOW + timedelta(days=1)) == []


async def test_an_outcome_that_comes_before_the_mark_stays(database: Database) -> None:
    job_id = await insert_job(database, 1)
    (owed,) = await claim(database)
    await answer(database, Outcome(owed, TaskState.SUCCEEDED))
    assert await database.run(lambda c: outbox.mark_published(c, outbox.TASKS, [owed], LEASE, NOW)) == 0
    assert (await job_row(database, job_id))["state"] == "completed"


async def test_a_source_that_asks_for_a_pause_holds_its_job(database: Database) -> None:
    job_id = await insert_job(database, 3)
    (first,) = await publish(database, batch=1)
    await answer(database, PutBack(first, NOW + timedelta(seconds=60), 1, hold_job=True))
    assert await claim(database, now=NOW + timedelta(seconds=59)) == []
    assert by_job(await claim(database, now=NOW + timedelta(seconds=60))) == {job_id: 3}


async def test_commands_that_nobody_answered_are_owed_again(database: Database) -> None:
    lost, paused = await insert_job(database, 3), await insert_job(database, 1)
    await publish(database)
    await answer(database, NoData(TaskId(lost, 0), "t"), Outcome(TaskId(lost, 1), TaskState.SUCCEEDED))
    await change_job(database, paused, paused=True)
    assert await database.run(lambda c: outbox.owe_again(c, outbox.TASKS, NOW)) == 0  # published then, not before
    assert await database.run(lambda c: outbox.owe_again(c, outbox.TASKS, NOW + timedelta(seconds=1))) == 1
    assert await claim(database) == [TaskId(lost, 2)]
    assert await database.run(lambda c: outbox.owe_again(c, outbox.TASKS, None)) == 1, "no broker, no pause"


async def test_all_commands_are_owed_again_to_a_broker_without_memory_in_blocks(database: Database) -> None:
    await insert_job(database, 25)
    await publish(database)
    counts = [await database.run(lambda c: outbox.owe_again(c, outbox.TASKS, None, limit=10)) for _ in range(4)]
    assert counts == [10, 10, 5, 0]
    assert len(await claim(database)) == 25


async def test_a_redrive_makes_every_open_command_due_at_once(database: Database) -> None:
    job_id, other = await insert_job(database, 5), await insert_job(database, 2)
    await publish(database, batch=10)
    await answer(
        database,
        Outcome(TaskId(job_id, 0), TaskState.SUCCEEDED),
        Outcome(TaskId(job_id, 1), TaskState.FAILED, "m", "t"),
        NoData(TaskId(job_id, 2), "t"),
        PutBack(TaskId(job_id, 3), NOW + timedelta(hours=1), 3, hold_job=True),
    )
    assert await database.run(lambda c: jobs.redrive(c, job_id)) == 3
    assert [command.position for command in await claim(database)] == [2, 3, 4]
    assert (await task_row(database, TaskId(job_id, 3)))["attempts"] == 0
    assert (await task_row(database, TaskId(other, 0)))["published_at"] == NOW
