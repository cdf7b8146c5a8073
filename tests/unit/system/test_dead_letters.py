"""Dead letters are counted in the database by all processes; an outage there delays the count and nothing else."""

import asyncio

import pytest

from app.db import dead_letters
from app.db.database import Database
from app.domain.errors import Unavailable
from app.domain.system import DeadLetters
from app.system import dead_letters as module
from app.system.dead_letters import DeadLetterCounts

AWAY = Unavailable("database", "away")


async def total(database: Database) -> DeadLetters:
    async with database.reading() as connection:
        return await dead_letters.total(connection)


async def test_none_is_none(database: Database) -> None:
    assert await total(database) == DeadLetters(0, None)
    await DeadLetterCounts(database).end()
    assert await total(database) == DeadLetters(0, None)


async def test_those_of_all_processes_and_topics_are_added_up(database: Database) -> None:
    one, other = DeadLetterCounts(database), DeadLetterCounts(database)
    for topic in ("a-dlq", "a-dlq", "b-dlq"):
        one.note(topic)
    other.note("a-dlq")
    await other.write()
    last = await total(database)
    await one.write()  # these came before
    assert await total(database) == DeadLetters(4, last.last_at)
    one.note("b-dlq")
    await one.write()
    after = await total(database)
    assert after.count == 5
    assert after.last_at is not None
    assert last.last_at is not None
    assert after.last_at > last.last_at


async def test_what_could_not_be_written_is_kept_and_written_once(database: Database) -> None:
    counts = DeadLetterCounts(database)
    counts.note("a-dlq")
    database.close_for(AWAY)
    for _ in range(2):
        with pytest.raises(Unavailable):
            await counts.write()
        counts.note("a-dlq")
    database.close_for(None)
    await counts.end()
    await counts.end()
    assert (await total(database)).count == 3


async def test_each_is_written_soon_also_after_an_outage(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN", 0.001)
    counts = DeadLetterCounts(database)
    writing = asyncio.create_task(counts.run())
    database.close_for(AWAY)
    counts.note("a-dlq")
    await asyncio.sleep(0.01)
    assert not writing.done()
    database.close_for(None)
    await until(database, 1)
    counts.note("a-dlq")
    await until(database, 2)
    writing.cancel()
    await asyncio.wait({writing})


async def until(database: Database, count: int) -> None:
    async with asyncio.timeout(20):
        while (await total(database)).count != count:  # noqa: ASYNC110 - the row tells nobody
            await asyncio.sleep(0.002)
