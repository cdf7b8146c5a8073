"""The commands that may be sent now: those that the relay would claim, were its batches large enough."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from app.db import due, outbox
from app.db.database import Database
from app.db.tables import job, task
from tests.support.metadata import opened
from tests.support.rows import NOW, claim, insert_job, publish


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    async with opened(url) as database:
        yield database


async def count(database: Database, window: int = 100) -> int:
    async with database.reading() as connection:
        return await due.count_due(connection, outbox.TASKS, NOW, window)


async def change_job(database: Database, job_id: UUID, **values: Any) -> None:
    await database.run(lambda c: c.execute(update(job).where(job.c.id == job_id).values(**values)))


async def put_back(database: Database, job_id: UUID, position: int, not_before: datetime) -> None:
    this = (task.c.job_id == job_id, task.c.position == position)
    await database.run(lambda c: c.execute(update(task).where(*this).values(not_before=not_before)))


async def test_commands_are_due_until_they_are_claimed(database: Database) -> None:
    assert await count(database) == 0
    await insert_job(database, 3)
    await insert_job(database, 2)
    assert await count(database) == 5
    await publish(database, batch=2)
    assert await count(database) == 3
    await claim(database)
    assert await count(database) == 0


async def test_of_a_job_no_more_are_due_than_its_window_takes(database: Database) -> None:
    await insert_job(database, 30)
    await insert_job(database, 4)
    assert await count(database, window=10) == 10 + 4
    await publish(database, window=10, batch=12)
    assert await count(database, window=10) == 4
    await publish(database, window=10)
    assert await count(database, window=10) == 0


async def test_jobs_that_are_paused_held_or_ended_have_none(database: Database) -> None:
    paused, held, waited, _ = [await insert_job(database, number) for number in (1, 2, 4, 8)]
    await change_job(database, paused, paused=True)
    await change_job(database, held, held_until=NOW + timedelta(seconds=1))
    await change_job(database, waited, held_until=NOW)
    assert await count(database) == 12


async def test_what_was_put_back_is_due_when_its_time_has_come(database: Database) -> None:
    job_id = await insert_job(database, 5)
    for position, seconds in ((0, 60), (1, 0), (2, -60)):
        await put_back(database, job_id, position, NOW + timedelta(seconds=seconds))
    assert await count(database) == 4


async def test_runs_are_counted_too(database: Database) -> None:
    async with database.reading() as connection:
        assert await due.count_due(connection, outbox.BATCHES, NOW, 100) == 0
