"""Failures are counted by cause as they happen: exactly, whoever records them, and whatever comes at once."""

import asyncio
import random
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Text, cast, literal, select, text, update

from app.db import failures, jobs, tasks
from app.db.database import Database
from app.db.tables import failure_cause, job, task
from app.domain.causes import cause_id, cause_of
from app.domain.failures import Failures
from app.domain.jobs import TaskId, TaskState
from app.domain.tasks import NoData, Outcome
from app.jobs.failures import FailedReferences, count_all
from tests.support.rows import NOW, insert_job, job_row, stored_artifact, task_row, trace_of

READ = "Failed reading artifact from source service: "


def failed(job_id: UUID, position: int, message: str | None = READ + "HTTP 404") -> Outcome:
    return Outcome(TaskId(job_id, position), TaskState.FAILED, message, f"{position:032x}")


async def settle(database: Database, *outcomes: Outcome | NoData, at: datetime = NOW) -> None:
    await database.run(lambda c: tasks.settle(c, outcomes, at))


async def by_cause(database: Database, job_id: UUID, most: int = 100) -> Failures:
    async with database.reading() as connection:
        return await failures.by_cause(connection, job_id, most)


async def counts(database: Database, job_id: UUID) -> dict[str, int]:
    return {cause.cause: cause.count for cause in (await by_cause(database, job_id)).causes}


async def test_failures_are_listed_by_cause_most_first_with_times_and_examples(database: Database) -> None:
    job_id, other = await insert_job(database, 10), await insert_job(database, 1)
    later = NOW + timedelta(seconds=5)
    await settle(database, failed(job_id, 7), failed(job_id, 2, READ + "HTTP 503 (4 attempts)"), failed(other, 0))
    await settle(database, *(failed(job_id, n, READ + f"HTTP 503 ({n} attempts)") for n in (3, 1, 9)), at=later)
    found = await by_cause(database, job_id)
    assert (found.failed, found.others) == (5, 0)
    assert [(cause.cause, cause.count) for cause in found.causes] == [(READ + "HTTP 503", 4), (READ + "HTTP 404", 1)]
    most = found.causes[0]
    assert (most.first, most.last) == (NOW, later)
    assert [(each.position, each.reference.id, each.message) for each in most.examples] == [
        (1, "ref-1", READ + "HTTP 503 (1 attempts)"),
        (2, "ref-2", READ + "HTTP 503 (4 attempts)"),
        (3, "ref-3", READ + "HTTP 503 (3 attempts)"),
    ]
    assert most.examples[0].trace_id == f"{1:032x}"
    assert (await by_cause(database, uuid4())).causes == ()


async def test_causes_beyond_the_most_are_counted_as_others(database: Database) -> None:
    job_id = await insert_job(database, 30)
    await settle(database, *(failed(job_id, n, f"step: {'x' * (n % 10)}") for n in range(25)))
    found = await by_cause(database, job_id, most=4)
    assert [cause.count for cause in found.causes] == [3, 3, 3, 3]
    assert (found.failed, found.others) == (25, 13)


async def test_an_outcome_that_changes_nothing_is_not_counted(database: Database) -> None:
    job_id = await insert_job(database, 3)
    await database.run(lambda c: tasks.note(c, [(TaskId(job_id, 1), stored_artifact())]))
    await settle(database, failed(job_id, 0), failed(job_id, 0), failed(job_id, 1))
    await settle(database, failed(job_id, 0, "other"), NoData(TaskId(job_id, 2), "t"))
    assert await counts(database, job_id) == {READ + "HTTP 404": 1}
    assert (await task_row(database, TaskId(job_id, 1)))["cause"] is None
    assert (await task_row(database, TaskId(job_id, 0)))["cause"] == cause_id(READ + "HTTP 404")


async def test_a_cancel_counts_what_it_failed_as_one_cause(database: Database) -> None:
    job_id = await insert_job(database, 6)
    await settle(database, failed(job_id, 0), Outcome(TaskId(job_id, 1), TaskState.SUCCEEDED))
    await database.run(lambda c: tasks.note(c, [(TaskId(job_id, 2), stored_artifact())]))
    cancelled = jobs.Cancel("Jo", NOW, "cancelled by Jo 'O' (2 attempts)")
    assert await database.run(lambda c: jobs.cancel(c, job_id, cancelled)) == 3
    assert await counts(database, job_id) == {READ + "HTTP 404": 1, "cancelled by Jo 'O' (2 attempts)": 3}
    most, _ = (await by_cause(database, job_id)).causes
    assert [each.trace_id for each in most.examples] == [trace_of(job_id, n) for n in (3, 4, 5)]
    nothing = await insert_job(database, 1)
    await settle(database, Outcome(TaskId(nothing, 0), TaskState.SUCCEEDED))
    assert await database.run(lambda c: jobs.cancel(c, nothing, cancelled)) is None
    assert await counts(database, nothing) == {}


async def test_counters_are_exact_when_batches_and_cancels_of_several_jobs_meet(database: Database) -> None:
    """Also: no deadlock, whatever the order."""
    job_ids = [await insert_job(database, 120) for _ in range(3)]
    every = [(job_id, position) for job_id in job_ids for position in range(120)]
    random.Random(7).shuffle(every)
    batches = [every[start : start + 12] for start in range(0, len(every), 12)]

    async def batch(ids: list[tuple[UUID, int]]) -> None:
        await settle(database, *(failed(job_id, n, READ + f"HTTP {500 + n % 7} ({n} attempts)") for job_id, n in ids))

    async def cancel() -> None:
        await asyncio.sleep(0.02)
        await database.run(lambda c: jobs.cancel(c, job_ids[1], jobs.Cancel("John Doe", NOW, "cancelled by x")))

    await asyncio.gather(*map(batch, batches), *map(batch, batches), cancel())
    for job_id in job_ids:
        row = await job_row(database, job_id)
        found = await by_cause(database, job_id)
        assert (row["open"], found.failed) == (0, row["failed"])
        async with database.reading() as connection:
            messages = (await connection.execute(select(task.c.message).where(task.c.job_id == job_id))).scalars()
            true = [cause_of(message) for message in messages]
        assert {cause.cause: cause.count for cause in found.causes} == {cause: true.count(cause) for cause in set(true)}


async def test_a_transaction_that_is_rolled_back_counts_nothing(database: Database) -> None:
    job_id = await insert_job(database, 2)
    async with database.engine.connect() as connection:
        await tasks.settle(connection, [failed(job_id, 0)], NOW)
        await connection.rollback()
    assert await counts(database, job_id) == {}


async def as_before(database: Database, job_id: UUID, positions: range) -> None:
    """What a process of the release before does: it knows no causes."""
    async with database.engine.begin() as connection:
        which = (task.c.job_id == job_id, task.c.position >= positions.start, task.c.position < positions.stop)
        message = literal(READ + "HTTP 500 (").concat(cast(task.c.position, Text)).concat(" attempts)")
        values = {"state": "failed", "message": message, "finished_at": NOW + timedelta(seconds=1)}
        await connection.execute(update(task).where(*which).values(**values))
        more = len(positions)
        counters = {"open": job.c.open - more, "failed": job.c.failed + more}
        await connection.execute(update(job).where(job.c.id == job_id).values(**counters))


async def test_failures_of_the_release_before_are_counted_when_somebody_asks(database: Database) -> None:
    job_id, other = await insert_job(database, 20), await insert_job(database, 3)
    await settle(database, failed(job_id, 0), failed(job_id, 1, READ + "HTTP 500 (7 attempts)"))
    await as_before(database, job_id, range(5, 15))
    await as_before(database, other, range(1))
    found = await FailedReferences(database).by_cause(job_id)
    assert {cause.cause: cause.count for cause in found.causes} == {READ + "HTTP 500": 11, READ + "HTTP 404": 1}
    assert (found.causes[0].first, found.causes[0].last) == (NOW, NOW + timedelta(seconds=1))
    assert await counts(database, other) == {}  # nobody asked
    assert await count_all(database) == 1
    assert await counts(database, other) == {READ + "HTTP 500": 1}
    assert await count_all(database) == 0


async def test_processes_that_count_the_same_failures_at_once_count_each_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.jobs.failures.AT_ONCE", 7)
    job_id = await insert_job(database, 200)
    await as_before(database, job_id, range(150))
    counted = await asyncio.gather(
        *(count_all(database, job_id) for _ in range(4)),
        settle(database, *(failed(job_id, n, READ + "HTTP 500 (9 attempts)") for n in range(150, 160))),
    )
    assert sum(each for each in counted if each) == 150
    assert await counts(database, job_id) == {READ + "HTTP 500": 160}


async def test_a_job_that_is_deleted_takes_its_counters_along(database: Database) -> None:
    job_id = await insert_job(database, 1)
    await settle(database, failed(job_id, 0))
    async with database.engine.begin() as connection:
        await connection.execute(text("DELETE FROM backfill_job"))
        assert (await connection.execute(select(failure_cause))).first() is None
