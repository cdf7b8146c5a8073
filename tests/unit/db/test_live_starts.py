"""Where the live flow began: what was noted first stays."""

from datetime import UTC, datetime

from app.db import live_starts
from app.db.database import Database

NOW = datetime(2026, 11, 30, 10, tzinfo=UTC)


async def test_what_was_noted_first_stays(database: Database) -> None:
    await database.run(lambda c: live_starts.begin(c, "docs", {0: 7, 1: 9}, NOW))
    await database.run(lambda c: live_starts.begin(c, "docs", {1: 0, 2: 5}, NOW))
    await database.run(lambda c: live_starts.begin(c, "docs", {}, NOW))
    async with database.reading() as connection:
        assert await live_starts.starts(connection, "docs") == {0: 7, 1: 9, 2: 5}
        assert await live_starts.starts(connection, "others") == {}
