"""Tasks of messages; and two processes that take in the same messages at once, which SQLite has not."""

import asyncio
from datetime import timedelta

from app.db.database import Database
from tests.support.live import insert_live, new_task
from tests.unit.db.test_live_starts import *
from tests.unit.db.test_live_tasks import *
from tests.unit.db.test_live_tasks import NOW, TODAY, TOMORROW, found, references


async def test_many_connections_that_insert_the_same_messages_make_one_task_of_each(database: Database) -> None:
    batches = [[new_task(f"m{number}", f"r{number % 7}") for number in range(first, first + 60)] for first in range(8)]
    days = [timedelta(days=place % 2) for place in range(8)]
    inserted = await asyncio.gather(
        *(insert_live(database, NOW + day, *batch) for batch, day in zip(batches, days, strict=True))
    )
    assert sum(map(len, inserted)) == 67
    jobs = [await found(database, each) for each in (TODAY, TOMORROW)]
    assert sum(job.total for job in jobs) == 67
    for job in jobs:
        assert [place for place, _ in await references(database, job.id)] == list(range(job.total))
