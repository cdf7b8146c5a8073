"""`python -m bench.audit_entries`: what the entry of the audit log costs a submission, on PostgreSQL with fsync.

Jobs of one reference are submitted through the object that the API calls, with the entry and with nothing in its place,
in turns: one after the other, and eight at a time. CPU is that of this process and of PostgreSQL. Medians of rounds.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch
from uuid import uuid4

from app.catalog.archive_types import Catalog
from app.catalog.live import LiveCatalog
from app.db import audit, migrations
from app.db.database import Database
from app.db.job_history import JobHistory
from app.jobs.submit import Submissions
from bench.service import cpu_seconds
from tests.servers import Postgres
from tests.support.core import DORA, configuration, submission

AT_ONCE = 8


async def nothing(*_: Any) -> None:
    """In the place of `audit.append`."""


async def submit(database: Database, count: int, at_once: int) -> None:
    submissions = Submissions(
        database, JobHistory(publishes=True), LiveCatalog(Catalog((configuration(),))), lambda: None
    )
    todo = iter(range(count))

    async def some() -> None:
        for number in todo:
            await submissions.submit(uuid4(), submission(f"DOC-{number}"), DORA)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(some())


async def one(database: Database, postgres: int, count: int, at_once: int) -> tuple[float, float]:
    """Milliseconds of wall time and of CPU for each submission."""
    cpu, begin = time.process_time() + sum(cpu_seconds(postgres)), time.perf_counter()
    await submit(database, count, at_once)
    seconds = time.perf_counter() - begin
    cpu = time.process_time() + sum(cpu_seconds(postgres)) - cpu
    return seconds / count * 1e3, cpu / count * 1e3


async def run(url: str, postgres: int, count: int, rounds: int) -> None:
    database = Database(url)
    await migrations.migrate(database)
    await submit(database, 100, AT_ONCE)
    print("| at a time | entry | ms each | CPU ms each |\n|---|---|---|---|")
    for at_once in (1, AT_ONCE):
        found: dict[str, list[Sequence[float]]] = {"with": [], "without": []}
        for _ in range(rounds):
            found["with"].append(await one(database, postgres, count, at_once))
            with patch.object(audit, "append", nothing):
                found["without"].append(await one(database, postgres, count, at_once))
        for name, each in found.items():
            wall, cpu = (statistics.median(column) for column in zip(*each, strict=True))
            print(f"| {at_once} | {name} | {wall:.2f} | {cpu:.2f} |", flush=True)
    await database.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=500, help="of each round")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    server = Postgres(durable=True)
    server.start()
    try:
        assert server.process is not None
        url = server.create_database("audit_entries")
        asyncio.run(run(url, server.process.pid, options.jobs, options.rounds))
    finally:
        server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
