"""`python -m bench.job_references`: a job of 1,000,000 references, 400,000 of them failed of 50 causes, on PostgreSQL.

How long failures and pages of references take, wherever they are and whatever is asked for, and what CSV takes in time
and memory; another job lies beside. Exit 1 where failures take 1 s or a page
100 ms in the median. `--sqlite`: on SQLite instead.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID

from app.api.jobs.reference_rows import csv_rows, json_page
from app.db import migrations
from app.db.database import Database
from app.domain.jobs import TaskState
from app.domain.references import WantedReferences
from app.jobs.failures import FailedReferences
from app.jobs.references import JobReferences
from app.process.supervision import spare_the_collector
from bench.large_job import OPEN, fill
from tests.servers import Postgres

LIMIT = 100
FAILURES_MOST, PAGE_MOST = 1.0, 0.1
"""Seconds that failures, and a page, must stay below."""


async def measure(name: str, ask: Callable[[], Awaitable[str]], times: int) -> float:
    """Prints a row; the median in seconds."""
    seconds, found = [], ""
    for _ in range(times):
        begin = time.perf_counter()
        found = await ask()
        seconds.append(time.perf_counter() - begin)
    median = statistics.median(seconds)
    print(f"| {name} | {found} | {min(seconds) * 1e3:.1f} | {median * 1e3:.1f} |", flush=True)
    return median


def resident() -> float:
    """MiB of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


async def csv(of: JobReferences, job_id: UUID) -> None:
    before = highest = resident()
    size, begin, cpu = 0, time.perf_counter(), time.process_time()
    async for page in of.pages(job_id, WantedReferences(), -1):
        size += len(csv_rows(page))
        highest = max(highest, resident())
    seconds = time.perf_counter() - begin
    print(
        f"\nCSV of all: {size / 1e6:.0f} MB in {seconds:.1f} s ({time.process_time() - cpu:.1f} s of CPU), "
        f"{highest - before:.0f} MiB of memory more than before"
    )


async def main_async(url: str, count: int, share: float, times: int) -> tuple[float, float]:
    database = Database(url)
    await migrations.migrate(database)
    begin = time.perf_counter()
    await fill(database, max(count // 10, 2 * OPEN), share)
    job_id = await fill(database, count, share)
    print(f"{count:,} references, {share:.0%} failed, made in {time.perf_counter() - begin:.0f} s\n")
    failures, of = FailedReferences(database), JobReferences(database)
    spare_the_collector()

    async def by_cause() -> str:
        found = await failures.by_cause(job_id)
        return f"{found.failed:,} of {len(found.causes)}"

    def page(wanted: WantedReferences, after: int) -> Callable[[], Awaitable[str]]:
        async def ask() -> str:
            found = await of.page(job_id, wanted, after, LIMIT)
            json_page(found.references, None)
            return str(len(found.references))

        return ask

    causes = [each.cause for each in (await failures.by_cause(job_id)).causes]
    print("| asked for | found | least ms | median ms |")
    print("|---|---|---|---|")
    slowest = await measure("failures", by_cause, times)
    wanted = {
        "": WantedReferences(),
        "state=failed": WantedReferences(TaskState.FAILED),
        "state=succeeded": WantedReferences(TaskState.SUCCEEDED),
        "state=open (few)": WantedReferences(TaskState.OPEN),
        "the most frequent cause": WantedReferences(cause=causes[0]),
        "the rarest cause": WantedReferences(cause=causes[-1]),
        "id of a few": WantedReferences(prefix="DOC-0500-a"),
        "id of a thousand": WantedReferences(prefix="DOC-0500"),
        "id of a thousand, failed": WantedReferences(TaskState.FAILED, prefix="DOC-0500"),
        "id of a tenth": WantedReferences(prefix="DOC-05"),
        "id of all": WantedReferences(prefix="DOC-"),
        "id of all, failed": WantedReferences(TaskState.FAILED, prefix="DOC-"),
        "id of none": WantedReferences(prefix="none"),
    }
    pages = [
        await measure(f"page {place}: {name or 'all'}", page(each, after), times)
        for name, each in wanted.items()
        for place, after in (("at the beginning", -1), ("in the middle", count // 2), ("at the end", count - 2 * LIMIT))
    ]
    await csv(of, job_id)
    await database.close()
    return slowest, max(pages)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--references", type=int, default=1_000_000)
    parser.add_argument("--failed", type=float, default=0.4, help="share of them")
    parser.add_argument("--times", type=int, default=20, help="how often each is asked")
    parser.add_argument("--sqlite", action="store_true")
    arguments = parser.parse_args()
    what = (arguments.references, arguments.failed, arguments.times)
    if arguments.sqlite:
        with tempfile.TemporaryDirectory() as directory:
            failures, page = asyncio.run(main_async(f"sqlite:///{directory}/pas.sqlite", *what))
    else:
        with Postgres() as server:
            failures, page = asyncio.run(main_async(server.create_database("job_references"), *what))
    print(f"\nfailures {failures * 1e3:.0f} ms, to be below {FAILURES_MOST * 1e3:.0f} ms")
    print(f"slowest page {page * 1e3:.0f} ms, to be below {PAGE_MOST * 1e3:.0f} ms")
    return 0 if failures < FAILURES_MOST and page < PAGE_MOST else 1


if __name__ == "__main__":
    sys.exit(main())
