"""Pausing, cancelling and retrying jobs as rows, on SQLite and PostgreSQL."""

import asyncio
import random
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from app.db import jobs, reports, tasks
from app.db.database import Database, is_conflict
from app.db.tasks import SettledTasks
from app.domain.identity import content_hash
from app.domain.jobs import BY_FAILURES, FailureThreshold, Job, JobFilter, JobState, Reference, TaskId, TaskState
from app.domain.tasks import NoData, Outcome, PutBack
from tests.support.rows import (
    NOW,
    claim,
    insert_job,
    job_row,
    keys_of,
    new_job,
    publish,
    stored_artifact,
    task_row,
    trace_of,
)

HALF = FailureThreshold(share=0.5, min_tasks=4)


def at(seconds: int) -> datetime:
    return NOW + timedelta(seconds=seconds)


async def find(database: Database, job_id: UUID) -> Job:
    async with database.reading() as connection:
        found = await jobs.find(connection, job_id)
    assert found is not None
    return found


async def pause(database: Database, job_id: UUID, now: datetime = NOW) -> None:
    of = await find(database, job_id)
    await database.run(lambda c: jobs.pause(c, of, "Wanda", now))


async def resume(database: Database, job_id: UUID, now: datetime = NOW) -> None:
    of = await find(database, job_id)
    await database.run(lambda c: jobs.resume(c, of, now))


async def cancel(database: Database, job_id: UUID, now: datetime = NOW) -> int | None:
    return await database.run(lambda c: jobs.cancel(c, job_id, jobs.Cancel("John Doe", now, "cancelled by John Doe")))


async def settle(
    database: Database, job_id: UUID, *, succeeded: range = range(0), failed: range = range(0), now: datetime = NOW
) -> SettledTasks:
    answers = [Outcome(TaskId(job_id, position), TaskState.SUCCEEDED) for position in succeeded]
    answers += [Outcome(TaskId(job_id, position), TaskState.FAILED, "HTTP 404", "b" * 32) for position in failed]
    return await database.run(lambda c: tasks.settle(c, answers, now, HALF))


async def note(database: Database, task_id: TaskId) -> None:
    assert await database.run(lambda c: tasks.note(c, [(task_id, stored_artifact())])) == {task_id}


async def test_nothing_of_a_paused_job_is_published_until_it_is_resumed(database: Database) -> None:
    job_id = await insert_job(database, 3)
    assert len(await claim(database, batch=1)) == 1
    await pause(database, job_id)
    assert await claim(database) == []
    await resume(database, job_id)
    assert len(await claim(database)) == 2


async def test_the_time_of_pauses_does_not_count_for_the_rate(database: Database) -> None:
    job_id = await insert_job(database, 4)
    await settle(database, job_id, succeeded=range(2), now=at(2))
    await pause(database, job_id, at(3))
    await resume(database, job_id, at(103))
    await settle(database, job_id, succeeded=range(2, 3), now=at(104))
    job = await find(database, job_id)
    assert (job.paused, job.paused_at, job.paused_seconds, job.last_settled) == (False, None, 100, at(104))


async def test_a_cancelled_job_ends_and_its_open_references_say_by_whom(database: Database) -> None:
    job_id = await insert_job(database, 4)
    other = await insert_job(database, 1)
    await publish(database, batch=2)
    await settle(database, job_id, succeeded=range(1))
    await pause(database, job_id, at(1))
    assert await cancel(database, job_id, at(2)) == 3
    row = await job_row(database, job_id)
    assert (row["state"], row["open"], row["succeeded"], row["failed"]) == ("completed", 0, 1, 3)
    assert (row["completed"], row["paused"], row["paused_seconds"]) == (at(2), False, 1)
    assert (row["cancelled"], row["last_settled"]) == (3, NOW)  # they are no part of the rate
    task = await task_row(database, TaskId(job_id, 3))
    assert (task["state"], task["message"]) == ("failed", "cancelled by John Doe")
    assert task["finished_at"] == at(2)
    async with database.reading() as connection:
        reported = await reports.page(connection, job_id, -1, 10, TaskState.FAILED)
    assert [each.trace_id for each in reported] == [trace_of(job_id, n) for n in (1, 2, 3)]
    assert await cancel(database, job_id) is None
    assert (await job_row(database, other))["open"] == 1
    assert {task_id.job_id for task_id in await claim(database)} <= {other}


async def test_what_is_stored_is_not_cancelled_and_ends_the_job(database: Database) -> None:
    job_id = await insert_job(database, 3)
    stored = TaskId(job_id, 1)
    await note(database, stored)
    await pause(database, job_id)
    assert await cancel(database, job_id) == 2
    row = await job_row(database, job_id)
    assert (row["state"], row["open"], row["failed"], row["paused"], row["completed"]) == ("open", 1, 2, False, None)
    assert await claim(database) == [stored]
    assert (await settle(database, job_id, succeeded=range(1, 2))).completed == [job_id]
    assert await cancel(database, job_id) is None


async def test_what_was_cancelled_is_no_failure_for_the_threshold(database: Database) -> None:
    job_id = await insert_job(database, 30)
    for position in range(6):
        await note(database, TaskId(job_id, position))
    assert await cancel(database, job_id) == 24
    settled = await settle(database, job_id, succeeded=range(5))
    assert (settled.completed, settled.paused) == ([], [])
    assert await claim(database) == [TaskId(job_id, 5)]
    assert (await settle(database, job_id, succeeded=range(5, 6))).completed == [job_id]


async def test_who_locks_many_tasks_takes_them_in_one_order(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each beside each, over the same tasks: none deadlocks, which would be tried again and show as slowness only."""
    conflicts: list[BaseException] = []

    def noting(error: BaseException) -> bool:
        found = is_conflict(error)
        if found:
            conflicts.append(error)
        return found

    monkeypatch.setattr("app.db.database.is_conflict", noting)
    job_id = await insert_job(database, 400)
    everywhere = list(range(400))

    def shuffled() -> list[TaskId]:
        return [TaskId(job_id, position) for position in random.sample(everywhere, 300)]

    async def some(number: int) -> None:
        for _ in range(6):
            ids = shuffled()
            match number % 4:
                case 0:
                    await database.run(lambda c: jobs.redrive(c, job_id))
                case 1:
                    mixed = [NoData(each, "t") if each.position % 2 else PutBack(each, NOW, 1) for each in ids]
                    await database.run(lambda c, mixed=mixed: tasks.settle(c, mixed, NOW))  # type: ignore[misc]
                case 2:
                    stored = [(each, stored_artifact()) for each in ids[:5]]
                    await database.run(lambda c, stored=stored: tasks.note(c, stored))  # type: ignore[misc]
                case _:
                    await publish_some(database)

    await asyncio.gather(*(some(number) for number in range(8)))
    assert await cancel(database, job_id) is not None
    assert conflicts == []


async def publish_some(database: Database) -> None:
    for task_id in await claim(database, batch=50):
        assert task_id.position >= 0


async def test_a_late_answer_to_a_cancelled_task_changes_nothing(database: Database) -> None:
    job_id = await insert_job(database, 2)
    await cancel(database, job_id)
    assert await database.run(lambda c: tasks.note(c, [(TaskId(job_id, 0), stored_artifact())])) == set()
    assert (await settle(database, job_id, succeeded=range(2))).changed == set()
    assert (await job_row(database, job_id))["failed"] == 2
    row = await task_row(database, TaskId(job_id, 0))
    assert (row["state"], row["message"]) == ("failed", "cancelled by John Doe")
    assert row["stored"] is not None  # what was on its way to the store is known to `pas verify`


async def test_more_failures_than_the_threshold_allows_pause_the_job_once(database: Database) -> None:
    job_id = await insert_job(database, 20)
    assert (await settle(database, job_id, failed=range(3))).paused == []  # fewer than the smallest number
    assert (await settle(database, job_id, succeeded=range(3, 6))).paused == []  # half of them is not more than half
    assert not (await find(database, job_id)).paused
    assert (await settle(database, job_id, failed=range(6, 7), now=at(1))).paused == [job_id]
    job = await find(database, job_id)
    assert (job.paused, job.paused_at, job.paused_by) == (True, at(1), BY_FAILURES)
    assert (await settle(database, job_id, failed=range(7, 9), now=at(2))).paused == []  # what was under way
    assert (await find(database, job_id)).paused_at == at(1)


async def test_a_resumed_job_is_judged_by_what_comes_from_then_on(database: Database) -> None:
    job_id = await insert_job(database, 20)
    assert (await settle(database, job_id, failed=range(6))).paused == [job_id]
    await resume(database, job_id)
    assert (await settle(database, job_id, failed=range(6, 9))).paused == []
    assert (await settle(database, job_id, failed=range(9, 10))).paused == [job_id]


async def test_a_job_whose_last_task_fails_ends_and_is_not_paused(database: Database) -> None:
    job_id = await insert_job(database, 5)
    settled = await settle(database, job_id, failed=range(5))
    assert (settled.completed, settled.paused) == ([job_id], [])
    row = await job_row(database, job_id)
    assert (row["state"], row["paused"], row["paused_at"]) == ("completed", False, None)


@pytest.mark.parametrize("count", [5, 45_000])
async def test_failed_references_are_copied_in_their_order(database: Database, count: int) -> None:
    job_id = await insert_job(database, count)
    await settle(database, job_id, succeeded=range(0, count, 2), failed=range(1, count, 2))
    failed = [Reference(f"ref-{number}") for number in range(1, count, 2)]
    new = replace(new_job([]), retry_of=job_id)
    assert await database.run(lambda c: jobs.insert_if_absent(c, new))
    old = await database.run(lambda c: jobs.find(c, job_id))
    assert old is not None
    assert await database.run(lambda c: jobs.copy_failed(c, old, new.id)) == len(failed)
    async with database.reading() as connection:
        keys = await jobs.keys_of(connection, new.id)
    assert keys == keys_of(failed)
    same = content_hash("M", "t", None, keys)
    await database.run(lambda c: jobs.set_content(c, new.id, len(failed), same))
    made = await find(database, new.id)
    assert (made.total, made.open, made.content_hash, made.retry_of) == (len(failed), len(failed), same, job_id)
    last = await task_row(database, TaskId(new.id, len(failed) - 1))
    assert (last["reference_id"], last["state"], last["attempts"], last["message"]) == (failed[-1].id, "open", 0, None)


async def test_jobs_are_listed_newest_first_in_pages(database: Database) -> None:
    ids = [await insert_job(database, 1, started=at(number // 2)) for number in range(5)]  # some at the same moment
    await settle(database, ids[2], failed=range(1))
    seen: list[UUID] = []
    before = None
    async with database.reading() as connection:
        while found := await jobs.page(connection, before, 2, JobFilter()):
            seen += [job.id for job in found]
            before = (found[-1].started, found[-1].id)
        done = await jobs.page(connection, None, 10, JobFilter(state=JobState.COMPLETED))
        others = await jobs.page(connection, None, 10, JobFilter(message="other"))
    assert sorted(seen) == sorted(ids)
    assert seen[0] == ids[4]
    assert set(seen[1:3]) == {ids[2], ids[3]}
    assert [job.id for job in done] == [ids[2]]
    assert others == []
