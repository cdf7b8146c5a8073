"""Applied definitions of metadata; and ten processes that apply the same one at once, which SQLite has not."""

import asyncio

from app.db.database import Database
from tests.support.metadata import TYPE, all_runs, catalog, definitions
from tests.unit.metadata.runs.test_definitions import *
from tests.unit.metadata.runs.test_definitions import archive


async def test_ten_processes_at_once_owe_one_run(url: str, database: Database) -> None:
    await archive(database, 25)
    processes = [Database(url, pool_size=2) for _ in range(10)]
    try:
        each = [definitions(process) for process in processes]
        await asyncio.gather(*(one.apply(catalog(a="x.a")) for one in each))
    finally:
        for process in processes:
            await process.close()
    assert len(await all_runs(database)) == 1
    assert {one.of(TYPE).revision for one in each} == {1}
