"""Processes know each other by their rows: written while they run, removed by a stop, passed over once they are old."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import func, insert, select

from app.db import dialect, processes
from app.db.database import Database
from app.db.tables import service_process
from app.domain.errors import Unavailable
from app.domain.system import KnownProcess
from app.system import processes as module
from app.system.processes import Presence


async def running(database: Database) -> Sequence[KnownProcess]:
    async with database.reading() as connection:
        return await processes.running(connection)


async def seen_before(database: Database, ago: timedelta) -> None:
    """The row of another process that was last seen so long ago."""

    async def work(connection: object) -> None:
        seen = await dialect.now(connection) - ago  # type: ignore[arg-type]
        row = {"id": uuid4(), "started_at": seen, "seen_at": seen, "release": "0.9"}
        await connection.execute(insert(service_process).values(**row))  # type: ignore[attr-defined]

    await database.run(work)


async def rows(database: Database) -> int:
    async with database.reading() as connection:
        return (await connection.execute(select(func.count()).select_from(service_process))).scalar_one()


async def test_each_process_is_shown_with_its_release_the_oldest_first(database: Database) -> None:
    first, second = Presence(database, "1.0"), Presence(database, "1.1")
    for each in (second, first, first):
        await each.write()
    found = await running(database)
    assert [(each.id, each.release) for each in found] == [(first.id, "1.0"), (second.id, "1.1")]
    assert found[0].started_at == first.started_at


async def test_a_process_that_was_not_seen_for_a_minute_is_not_shown(database: Database) -> None:
    await seen_before(database, timedelta(seconds=30))
    await seen_before(database, timedelta(seconds=61))
    assert [each.release for each in await running(database)] == ["0.9"]


async def test_a_process_is_seen_by_the_clock_of_the_database_whatever_its_own_says(database: Database) -> None:
    wrong = Presence(database, "1.0")
    wrong.started_at -= timedelta(days=1)
    await wrong.write()
    async with database.reading() as connection:
        now = await dialect.now(connection)
    [found] = await running(database)
    assert timedelta(0) <= now - found.seen_at < timedelta(seconds=30)
    assert found.started_at == wrong.started_at


async def test_the_row_of_a_process_that_was_killed_goes_after_an_hour(database: Database) -> None:
    await seen_before(database, timedelta(minutes=59))
    await seen_before(database, timedelta(minutes=61))
    await Presence(database, "1.0").write()
    assert await rows(database) == 2


async def test_a_stop_removes_the_row_for_good(database: Database) -> None:
    presence = Presence(database, "1.0")
    await presence.write()
    await presence.end()
    await presence.write()
    assert await rows(database) == 0


async def test_a_process_that_wrote_nothing_has_nothing_to_remove(database: Database) -> None:
    database.close_for(Unavailable("database", "away"))
    await Presence(database, "1.0").end()


async def test_the_row_is_written_again_and_again_and_an_outage_only_delays_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY", 0.001)
    monkeypatch.setattr(module, "AGAIN", 0.001)
    presence = Presence(database, "1.0")
    database.close_for(Unavailable("database", "away"))
    keeping = asyncio.create_task(presence.run())
    await asyncio.sleep(0.02)
    assert not keeping.done()
    database.close_for(None)
    async with asyncio.timeout(20):
        while not (first := await running(database)):  # noqa: ASYNC110 - the row tells nobody
            await asyncio.sleep(0.002)
        while (await running(database))[0].seen_at == first[0].seen_at:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.002)
    keeping.cancel()
    await asyncio.wait({keeping})
