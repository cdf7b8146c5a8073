"""The limits of sources by the minute, of all processes together, and their thinning out after a day."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import select

from app.db import source_minutes
from app.db.database import Database
from app.db.source_minutes import Sample
from app.db.tables import source_minute
from app.domain.minutes import DAY, ChartSpan
from tests.support.rows import NOW

MINUTE = int(NOW.timestamp() // 60) // 60 * 60
ONE, TWO = UUID(int=1), UUID(int=2)


async def write(database: Database, process: UUID, minute: int, *samples: Sample) -> None:
    await database.run(lambda c: source_minutes.write(c, process, minute, samples))


async def test_processes_are_added_up_and_the_least_of_a_part_is_its_limit(database: Database) -> None:
    await write(database, ONE, MINUTE, Sample("a", 8, 3), Sample("b", 1, 0))
    await write(database, ONE, MINUTE, Sample("a", 4, 5))
    await write(database, TWO, MINUTE, Sample("a", 10, 2))
    await write(database, ONE, MINUTE + 1, Sample("a", 64, 60))
    await write(database, TWO, MINUTE + 1, Sample("a", 64, 1))
    async with database.reading() as connection:
        by_minute = await source_minutes.of(connection, ChartSpan(MINUTE, 1, 2))
        together = await source_minutes.of(connection, ChartSpan(MINUTE, 2, 1))
        assert await source_minutes.first(connection, MINUTE - 5) == MINUTE
        assert await source_minutes.first(connection, MINUTE + 5) is None
    assert by_minute == [("a", 0, 14, 7), ("a", 1, 128, 61), ("b", 0, 1, 0)]
    assert together == [("a", 0, 14, 61), ("b", 0, 1, 0)]


async def test_after_a_day_an_hour_is_one_row_and_after_a_month_none(database: Database) -> None:
    for minute, allowed, in_flight in ((0, 8, 3), (7, 2, 9), (59, 64, 4), (67, 5, 1), (120, 6, 1)):
        await write(database, ONE, MINUTE + minute, Sample("a", allowed, in_flight))
    await write(database, TWO, MINUTE + 7, Sample("a", 30, 30))
    begin = NOW.replace(minute=0, second=0)

    async def rows() -> list[tuple[int, int, int, int]]:
        row = source_minute.c
        columns = select(row.minute - MINUTE, row.process, row.allowed, row.in_flight).order_by(row.minute, row.process)
        async with database.reading() as connection:
            return [(at, process.int, *more) for at, process, *more in await connection.execute(columns)]

    before = await rows()
    assert await database.run(lambda c: source_minutes.thin(c, begin + timedelta(minutes=30))) == 0
    assert await rows() == before
    late = begin + timedelta(minutes=DAY + 125)
    folded = [(0, 1, 2, 9), (0, 2, 30, 30), (60, 1, 5, 1), (120, 1, 6, 1)]
    for _ in range(2):  # two processes do the same
        await database.run(lambda c: source_minutes.thin(c, late))
        assert await rows() == folded
    assert await database.run(lambda c: source_minutes.thin(c, begin + timedelta(days=40))) == 4
    assert await rows() == []
