"""Tasks of messages: each once, in the job of its day, in order, with what they keep of their messages."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import jobs, live_jobs, live_payloads, live_tasks, tasks
from app.db.commands import owed_tasks
from app.db.database import Database
from app.db.outbox import LIVE_TASKS, TASKS, ItemId, Outbox, claim
from app.db.tables import job, live_task, task
from app.domain.identity import live_job_id
from app.domain.jobs import Job, JobKind, JobState, Reference, TaskId, TaskState
from app.domain.tasks import NoData, Outcome, PutBack, TaskKey, TaskRow
from tests.support.live import SCHEMA, TYPE, insert_live, new_task
from tests.support.rows import insert_job

NOW = datetime(2026, 11, 30, 10, tzinfo=UTC)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TODAY = live_job_id(TYPE, NOW.date())
TOMORROW = live_job_id(TYPE, NOW.date() + timedelta(days=1))


async def found(database: Database, job_id: UUID) -> Job:
    async with database.reading() as connection:
        job = await jobs.find(connection, job_id)
    assert job is not None
    return job


async def references(database: Database, job_id: UUID) -> list[tuple[int, str]]:
    statement = select(task.c.position, task.c.reference_id).where(task.c.job_id == job_id).order_by(task.c.position)
    async with database.reading() as connection:
        return [(position, id_) for position, id_ in await connection.execute(statement)]


async def look_up(database: Database, job_id: UUID, key: UUID) -> TaskRow:
    async with database.reading() as connection:
        return (await tasks.look_up(connection, [TaskKey(job_id, key)]))[TaskKey(job_id, key)]


async def settle(
    database: Database, position: int, state: TaskState, now: datetime = NOW, job_id: UUID = TODAY
) -> None:
    outcome = Outcome(TaskId(job_id, position), state, None if state is TaskState.SUCCEEDED else "HTTP 404", None)
    await database.run(lambda c: tasks.settle(c, [outcome], now))


async def test_the_tasks_of_a_day_are_one_job_in_the_order_in_which_they_came(database: Database) -> None:
    first, second, third = new_task("m1", "b"), new_task("m2", "a"), new_task("m3", "a")
    assert await insert_live(database, NOW, first, second) == {first.origin.key, second.origin.key}
    await insert_live(database, NOW + timedelta(hours=13), third)
    job = await found(database, TODAY)
    assert await references(database, TODAY) == [(0, "b"), (1, "a"), (2, "a")]
    assert (job.kind, job.total, job.open, job.state) == (JobKind.LIVE, 3, 3, JobState.OPEN)
    assert (job.started, job.started_by_name) == (NOW, None)
    assert job.takes_until == datetime(2026, 12, 1, tzinfo=UTC)


async def test_a_message_that_comes_again_is_no_second_task_on_no_day(database: Database) -> None:
    assert len(await insert_live(database, NOW, new_task("m1"), new_task("m1"))) == 1
    assert await insert_live(database, NOW, new_task("m1"), new_task("m2")) == {new_task("m2").origin.key}
    assert await insert_live(database, NOW + timedelta(days=1), new_task("m1")) == set()
    assert (await found(database, TODAY)).total == 2


async def test_archive_types_and_days_have_jobs_of_their_own(database: Database) -> None:
    await insert_live(database, NOW, new_task("m1"), new_task("m1", archive_type="Other/x"))
    await insert_live(database, NOW + timedelta(days=1), new_task("m2"))
    for job_id in (TODAY, TOMORROW, live_job_id("Other/x", NOW.date())):
        assert (await found(database, job_id)).total == 1


async def test_a_job_that_has_ended_gets_no_more_tasks_even_of_a_clock_that_is_behind(database: Database) -> None:
    await insert_live(database, NOW, new_task("m1"))
    await settle(database, 0, TaskState.SUCCEEDED)
    assert await database.run(lambda c: live_jobs.complete(c, NOW + timedelta(days=1))) == [TODAY]
    await insert_live(database, NOW, new_task("m2"))
    assert (await found(database, TODAY)).total == 1
    assert await references(database, TOMORROW) == [(0, "r")]


async def test_a_job_whose_day_is_over_gets_no_more_tasks_while_some_of_it_are_open(database: Database) -> None:
    await insert_live(database, NOW, new_task("m1"))
    await database.run(lambda c: c.execute(update(job).values(takes_until=NOW)))
    await insert_live(database, NOW, new_task("m2", "a"), new_task("m3", "b"))
    assert (await found(database, TODAY)).total == 1
    assert await references(database, TOMORROW) == [(0, "a"), (1, "b")]


async def test_tasks_of_messages_and_of_backfills_are_claimed_apart(database: Database) -> None:
    backfill = await insert_job(database, 2)
    await insert_live(database, NOW, new_task("m1"))

    async def claimed(box: Outbox) -> set[UUID]:
        lease = NOW + timedelta(seconds=30)
        items = await database.run(lambda c: claim(c, box, NOW, lease_until=lease, window=10, batch=10))
        return {item.owner_id for item in items}

    assert (await claimed(LIVE_TASKS), await claimed(TASKS)) == ({TODAY}, {backfill})


async def test_a_live_job_ends_when_its_day_is_over_and_nothing_is_open(database: Database) -> None:
    await insert_live(database, NOW, new_task("m1"), new_task("m2", "other"))
    await settle(database, 0, TaskState.SUCCEEDED)
    tomorrow = datetime(2026, 12, 1, 0, 0, 5, tzinfo=UTC)
    assert await database.run(lambda c: live_jobs.complete(c, tomorrow)) == []
    await settle(database, 1, TaskState.FAILED, NOW)
    assert (await found(database, TODAY)).state is JobState.OPEN, "its day is not over"
    assert await database.run(lambda c: live_jobs.complete(c, NOW)) == []
    assert await database.run(lambda c: live_jobs.complete(c, tomorrow)) == [TODAY]
    job = await found(database, TODAY)
    assert (job.state, job.completed, job.succeeded, job.failed) == (JobState.COMPLETED, tomorrow, 1, 1)
    assert await database.run(lambda c: live_jobs.complete(c, tomorrow)) == []


async def test_its_last_task_ends_a_live_job_whose_day_is_over(database: Database) -> None:
    await insert_live(database, NOW, new_task("m1"))
    outcome = Outcome(TaskId(TODAY, 0), TaskState.SUCCEEDED)
    settled = await database.run(lambda c: tasks.settle(c, [outcome], NOW + timedelta(days=1)))
    assert settled.completed == [TODAY]


async def test_a_cancelled_live_job_goes_on_taking_tasks_until_its_day_is_over(database: Database) -> None:
    await insert_live(database, NOW, new_task("m1"))
    assert await database.run(lambda c: jobs.cancel(c, TODAY, jobs.Cancel("Dora", NOW, "cancelled by Dora"))) == 1
    await insert_live(database, NOW, new_task("m2"))
    job = await found(database, TODAY)
    assert (job.state, job.open, job.failed) == (JobState.OPEN, 1, 1)
    later = NOW + timedelta(days=1)
    assert await database.run(lambda c: jobs.cancel(c, TODAY, jobs.Cancel("Dora", later, "cancelled by Dora"))) == 1
    assert (await found(database, TODAY)).state is JobState.COMPLETED


async def test_a_task_keeps_what_its_message_said(database: Database) -> None:
    new = new_task("m1", "r", b"{}", version=3, process_id="p", traceparent=TRACE, announced=False)
    await insert_live(database, NOW, new)
    row = await look_up(database, TODAY, new.origin.key)
    assert row.origin == new.origin
    assert row.origin.reference == Reference("r", 3)
    assert row.origin.payload is not None
    assert row.origin.payload.schema == SCHEMA
    async with database.reading() as connection:
        assert await live_tasks.payloads(connection, [new.origin.key]) == {new.origin.key: b"{}"}


async def test_its_command_names_the_task_of_the_message_and_goes_on_with_its_trace(database: Database) -> None:
    with_trace, without = new_task("m1", traceparent=TRACE), new_task("m2", "other")
    await insert_live(database, NOW, with_trace, without)
    lease = NOW + timedelta(seconds=30)
    items = await database.run(lambda c: claim(c, LIVE_TASKS, NOW, lease_until=lease, window=10, batch=10))
    assert items == [ItemId(TODAY, 0), ItemId(TODAY, 1)]
    async with database.reading() as connection:
        one, other = sorted(await owed_tasks(connection, items), key=lambda each: each.position)
    assert (one.live_key, one.traceparent, one.trace_id) == (with_trace.origin.key, TRACE, TRACE[3:35])
    assert other.live_key == without.origin.key
    assert len(other.trace_id) == 32


class TestEarlierFirst:
    async def test_a_task_waits_for_the_earlier_one_of_the_same_reference(self, database: Database) -> None:
        first, other, second = new_task("m1"), new_task("m2", "other"), new_task("m3")
        await insert_live(database, NOW, first, other, second)
        behind = [(await look_up(database, TODAY, each.origin.key)).is_behind for each in (first, other, second)]
        assert behind == [False, False, True]
        await settle(database, 0, TaskState.FAILED)
        assert not (await look_up(database, TODAY, second.origin.key)).is_behind

    async def test_also_for_that_of_yesterday(self, database: Database) -> None:
        await insert_live(database, NOW, new_task("m1"))
        second = new_task("m2")
        await insert_live(database, NOW + timedelta(days=1), second)
        assert (await look_up(database, TOMORROW, second.origin.key)).is_behind
        await settle(database, 0, TaskState.SUCCEEDED)
        assert not (await look_up(database, TOMORROW, second.origin.key)).is_behind

    async def test_not_for_one_whose_source_has_no_data(self, database: Database) -> None:
        second = new_task("m2")
        await insert_live(database, NOW, new_task("m1"), second)
        await database.run(lambda c: tasks.settle(c, [NoData(TaskId(TODAY, 0), "1" * 32)], NOW))
        assert not (await look_up(database, TODAY, second.origin.key)).is_behind

    async def test_but_for_one_that_was_put_back(self, database: Database) -> None:
        second = new_task("m2")
        await insert_live(database, NOW, new_task("m1"), second)
        await database.run(lambda c: tasks.settle(c, [PutBack(TaskId(TODAY, 0), NOW, 1)], NOW))
        assert (await look_up(database, TODAY, second.origin.key)).is_behind


class TestPayloads:
    async def kept(self, database: Database) -> list[str]:
        statement = select(live_task.c.message_id).where(live_task.c.payload.is_not(None))
        async with database.reading() as connection:
            return sorted((await connection.execute(statement)).scalars())

    async def test_are_deleted_once_their_task_succeeded_and_kept_while_it_is_open_or_failed(
        self, database: Database
    ) -> None:
        await insert_live(database, NOW, *(new_task(f"m{number}", f"r{number}", b"{}") for number in range(3)))
        await settle(database, 0, TaskState.SUCCEEDED)
        await settle(database, 1, TaskState.FAILED)
        async with database.reading() as connection:
            assert await live_payloads.size(connection) == 6
        assert await database.run(live_payloads.end) == 2
        assert await self.kept(database) == ["m1", "m2"]
        assert await database.run(live_payloads.end) == 0
        async with database.reading() as connection:
            assert await live_payloads.size(connection) == 4

    async def test_of_failed_tasks_are_kept_for_30_days(self, database: Database) -> None:
        await insert_live(database, NOW, new_task("m1", content=b"{}"))
        await settle(database, 0, TaskState.FAILED)
        await database.run(live_payloads.end)
        assert await database.run(lambda c: live_payloads.forget_failed(c, NOW + timedelta(days=29))) == 0
        assert await self.kept(database) == ["m1"]
        assert await database.run(lambda c: live_payloads.forget_failed(c, NOW + timedelta(days=31))) == 1
        assert await self.kept(database) == []

    async def retried(self, database: Database) -> UUID:
        """A retry of the failed tasks of today; its only task is open."""
        retry = live_job_id("retry", date(2026, 11, 30))
        old = await found(database, TODAY)

        async def again(connection: AsyncConnection) -> None:
            await jobs.insert_if_absent(
                connection, replace(old, id=retry, retry_of=TODAY, takes_until=None, total=0, open=0, failed=0)
            )
            await jobs.copy_failed(connection, old, retry)
            await jobs.set_content(connection, retry, 1, b"x")

        await database.run(again)
        return retry

    async def test_of_failed_tasks_are_deleted_once_a_retry_archived_them(self, database: Database) -> None:
        new = new_task("m1", content=b"{}", traceparent=TRACE)
        await insert_live(database, NOW, new)
        await settle(database, 0, TaskState.FAILED)
        await database.run(live_payloads.end)
        retry = await self.retried(database)
        row = await look_up(database, retry, new.origin.key)
        assert row.origin == new.origin
        assert not row.is_behind
        await settle(database, 0, TaskState.SUCCEEDED, job_id=retry)
        assert (await found(database, retry)).state is JobState.COMPLETED
        assert await database.run(lambda c: live_payloads.forget_failed(c, NOW)) == 1
        assert await self.kept(database) == []

    async def test_of_failed_tasks_are_kept_while_a_retry_is_open_and_for_30_days_when_it_failed(
        self, database: Database
    ) -> None:
        await insert_live(database, NOW, new_task("m1", content=b"{}"))
        await settle(database, 0, TaskState.FAILED)
        await database.run(live_payloads.end)
        retry = await self.retried(database)
        later = NOW + timedelta(days=40)
        assert await database.run(lambda c: live_payloads.forget_failed(c, later)) == 0
        await settle(database, 0, TaskState.FAILED, later, retry)
        assert await database.run(lambda c: live_payloads.forget_failed(c, later + timedelta(days=29))) == 0
        assert await self.kept(database) == ["m1"]
        assert await database.run(lambda c: live_payloads.forget_failed(c, later + timedelta(days=31))) == 1
        assert await self.kept(database) == []


async def test_a_backfill_task_has_no_origin(database: Database) -> None:
    await insert_live(database, NOW, new_task("m1"))
    async with database.engine.begin() as connection:
        await connection.execute(update(job).values(kind="backfill"))
    assert (await look_up(database, TODAY, new_task("m1").origin.key)).origin is None
