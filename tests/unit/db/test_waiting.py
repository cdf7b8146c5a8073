"""What jobs wait for, in their rows: written for jobs that go on, cleared where they end, are paused or cancelled."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from app.db import jobs, tasks, waiting
from app.db.database import Database
from app.domain.jobs import FailureThreshold, TaskId, TaskState
from app.domain.tasks import NoData, Outcome, Settlement
from app.domain.waiting import Waiting, WaitingFor
from tests.support.rows import NOW, change_job, insert_job, publish

REFUSED = Waiting(WaitingFor.SOURCE, "M/c", NOW, "connection refused", NOW + timedelta(seconds=30))


async def begin(database: Database, what: Waiting, *job_ids: UUID) -> None:
    await database.run(lambda c: waiting.begin(c, job_ids, what))


async def of(database: Database, job_id: UUID) -> Waiting | None:
    async with database.reading() as connection:
        found = await jobs.find(connection, job_id)
    assert found is not None
    return found.waiting


async def open_jobs(database: Database, *, only_waiting: bool = False) -> dict[UUID, waiting.OpenJob]:
    async with database.reading() as connection:
        return {each.id: each for each in await waiting.open_jobs(connection, only_waiting=only_waiting)}


async def test_jobs_wait_for_what_is_written_until_it_is_over(database: Database) -> None:
    one, other, third = [await insert_job(database, 1) for _ in range(3)]
    await begin(database, REFUSED, one, other)
    assert [await of(database, each) for each in (one, other, third)] == [REFUSED, REFUSED, None]
    assert set(await open_jobs(database, only_waiting=True)) == {one, other}
    await database.run(lambda c: waiting.end(c, [other]))
    assert [await of(database, each) for each in (one, other, third)] == [REFUSED, None, None]


async def test_an_outage_keeps_its_beginning_and_another_one_has_its_own(database: Database) -> None:
    job_id = await insert_job(database, 1)
    await begin(database, REFUSED, job_id)
    later = NOW + timedelta(minutes=5)
    again = replace(REFUSED, since=later, reason="connect timed out after 5s", next_try=None)
    await begin(database, again, job_id)
    assert await of(database, job_id) == replace(again, since=NOW)
    store = Waiting(WaitingFor.OBJECT_STORE, "objectstore", later, "HTTP 503 SlowDown", None)
    await begin(database, store, job_id)
    assert await of(database, job_id) == store


async def test_a_job_that_is_paused_or_has_ended_waits_for_nothing(database: Database) -> None:
    paused, ended = await insert_job(database, 1), await insert_job(database, 1)
    await change_job(database, paused, paused=True)
    await change_job(database, ended, state="completed")
    await begin(database, REFUSED, paused, ended)
    assert [await of(database, each) for each in (paused, ended)] == [None, None]
    assert await open_jobs(database) == {}


@pytest.mark.parametrize("how", ["pause", "cancel", "last outcome", "failures"])
async def test_what_stops_a_job_clears_what_it_waited_for(database: Database, how: str) -> None:
    job_id = await insert_job(database, 2 if how == "failures" else 1)
    await begin(database, REFUSED, job_id)
    failed = Outcome(TaskId(job_id, 0), TaskState.FAILED, "HTTP 404", "a" * 32)
    async with database.reading() as connection:
        found = await jobs.find(connection, job_id)
    assert found is not None
    if how == "pause":
        await database.run(lambda c: jobs.pause(c, found, "Dora", NOW))
    elif how == "cancel":
        await database.run(lambda c: jobs.cancel(c, job_id, jobs.Cancel("Dora", NOW, "cancelled by Dora")))
    else:
        await database.run(lambda c: tasks.settle(c, [failed], NOW, FailureThreshold(0.5, 1)))
    assert await of(database, job_id) is None


async def test_an_outcome_that_does_not_end_the_job_says_nothing_of_what_it_waits_for(database: Database) -> None:
    job_id = await insert_job(database, 2)
    await begin(database, REFUSED, job_id)
    gone = Outcome(TaskId(job_id, 0), TaskState.FAILED, "connection refused (unreachable for 1h)", "a" * 32)
    await database.run(lambda c: tasks.settle(c, [gone], NOW))
    assert await of(database, job_id) == REFUSED


async def test_a_job_has_work_until_all_that_is_open_was_answered_without_data(database: Database) -> None:
    job_id, fresh = await insert_job(database, 2), await insert_job(database, 1)
    await publish(database)
    assert {each.has_work for each in (await open_jobs(database)).values()} == {True}
    answers: list[Settlement] = [Outcome(TaskId(job_id, 0), TaskState.SUCCEEDED), NoData(TaskId(job_id, 1), "t")]
    await database.run(lambda c: tasks.settle(c, answers, NOW))
    found = await open_jobs(database)
    assert (found[job_id].has_work, found[fresh].has_work) == (False, True)
    assert (found[job_id].message, found[job_id].config_id, found[job_id].waiting) == ("M", "c", None)
