"""What is done beside: days that are over end their jobs, and documents that nobody needs are deleted."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from sqlalchemy import func, select

from app.db import live_payloads, tasks
from app.db.database import Database
from app.db.job_history import JobHistory
from app.db.tables import job, job_event, live_task
from app.domain.errors import Unavailable
from app.domain.identity import live_job_id
from app.domain.jobs import TaskId, TaskState
from app.domain.readiness import DATABASE
from app.domain.tasks import Outcome
from app.live import upkeep
from app.live.upkeep import LiveUpkeep
from app.telemetry import metrics
from tests.support.live import TYPE, insert_live, new_task
from tests.unit.messaging.conftest import database

__all__ = ["database"]

YESTERDAY = datetime.now(UTC) - timedelta(days=1)
JOB = live_job_id(TYPE, YESTERDAY.date())


async def value(database: Database, statement: Any) -> Any:
    async with database.reading() as connection:
        return (await connection.execute(statement)).scalar_one()


async def test_the_job_of_yesterday_ends_and_its_documents_go(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "PAUSES", 0)
    await insert_live(database, YESTERDAY, new_task("m1", content=b"{}"), new_task("m2", "other", b"{}"))
    keeper = LiveUpkeep(database, JobHistory(publishes=True))
    await keeper.look()
    assert await value(database, select(job.c.state)) == "open", "its tasks are"
    assert metrics.LIVE_PAYLOAD_BYTES._value.get() == 4
    outcomes = [Outcome(TaskId(JOB, position), TaskState.SUCCEEDED) for position in range(2)]
    await database.run(lambda c: tasks.settle(c, outcomes, YESTERDAY))
    assert await value(database, select(job.c.state)) == "open"
    await keeper.look()
    assert await value(database, select(job.c.state)) == "completed"
    kept = select(func.count()).select_from(live_task).where(live_task.c.payload.is_not(None))
    assert await value(database, kept) == 0
    assert metrics.LIVE_PAYLOAD_BYTES._value.get() == 0
    assert await value(database, select(func.count()).select_from(job_event)) == 0, "events are of backfill jobs"


async def test_the_longer_it_takes_to_add_up_the_documents_the_seldomer_it_is_done(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []

    async def size(_connection: Any) -> int:
        measured.append(1)
        await asyncio.sleep(0.05)
        return 1

    monkeypatch.setattr(live_payloads, "size", size)
    keeper = LiveUpkeep(database, JobHistory(publishes=False))
    monkeypatch.setattr(upkeep, "PAUSES", 0)
    await keeper.look()
    await keeper.look()
    assert len(measured) == 2
    monkeypatch.setattr(upkeep, "PAUSES", 10_000)
    for _ in range(3):
        await keeper.look()
    assert len(measured) == 3, "500 seconds have to go by"


async def test_documents_of_failed_tasks_are_looked_at_seldom(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_ago = YESTERDAY - timedelta(days=40)
    await insert_live(database, long_ago, new_task("m1", content=b"{}"))
    failed = Outcome(TaskId(live_job_id(TYPE, long_ago.date()), 0), TaskState.FAILED, "no")
    await database.run(lambda c: tasks.settle(c, [failed], long_ago))
    keeper = LiveUpkeep(database, JobHistory(publishes=False))
    kept = select(func.count()).select_from(live_task).where(live_task.c.payload.is_not(None))
    keeper._next_failed = float("inf")
    await keeper.look()
    assert await value(database, kept) == 1
    keeper._next_failed = 0
    await keeper.look()
    assert await value(database, kept) == 0


async def test_outages_only_delay_it(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "EVERY", 0.001)
    await insert_live(database, YESTERDAY, new_task("m1"))
    await database.run(lambda c: tasks.settle(c, [Outcome(TaskId(JOB, 0), TaskState.SUCCEEDED)], YESTERDAY))
    run, calls = database.run, 0

    async def sometimes(work: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise Unavailable(DATABASE, "away")
        return await run(work)

    cast("Any", database).run = sometimes
    keeper = LiveUpkeep(database, JobHistory(publishes=False))
    running = asyncio.create_task(keeper.run())
    async with asyncio.timeout(10):
        while await value(database, select(job.c.state)) == "open":  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await keeper.end()
