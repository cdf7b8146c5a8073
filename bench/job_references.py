"""`python -m bench.job_references`: a job of 1,000,000 references, 400,000 of them failed of 50 causes, on PostgreSQL.

How long failures and pages of references take, wherever they are and whatever is asked for, and what CSV takes in time
and memory; another job lies beside. Exit 1 where failures take 1 s or a page
100 ms in the median. `--sqlite`: on SQLite instead.
"""

import argparse
import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.jobs.reference_rows import csv_rows, json_page
from app.db import artifacts, causes, dialect, jobs, migrations, tasks
from app.db.causes import Count
from app.db.database import Database
from app.db.metadata_tables import artifact
from app.db.tables import task
from app.domain.artifacts import StoredArtifact
from app.domain.causes import cause_id, cause_of
from app.domain.jobs import TaskState
from app.domain.references import Wanted
from app.jobs.failures import FailedReferences
from app.jobs.references import JobReferences
from app.process.supervision import spare_the_collector
from tests.servers import Postgres
from tests.support.rows import NOW, new_job, stored_artifact

CAUSES = 50
LIMIT = 100
FAILURES_MOST, PAGE_MOST = 1.0, 0.1
"""Seconds that failures, and a page, must stay below."""

COLUMNS = (
    *("job_id", "position", "reference_key", "reference_id", "reference_version", "state", "published_at", "stored"),
    *("message", "trace_id", "finished_at", "cause"),
)
OPEN = 100
"""References that are still open, at the end."""


def message(number: int) -> str:
    """Some causes are frequent and some rare, and few messages of one are equal."""
    cause = min(int(random.expovariate(0.1)), CAUSES - 1)
    schema = "Archive data does not match schema PSF/OsvRecord version 1"
    return f"{schema}: $.lines[{number % 977}].field{cause}: must be integer"


def failing(count: int, share: float) -> set[int]:
    """A tenth of the failures is spread, the rest comes together at the end, as it does where a source changes."""
    spread, together = int(count * share * 0.1), int(count * share * 0.9)
    first = count - together - OPEN
    return {*random.sample(range(first), spread), *range(first, count - OPEN)}


async def fill(database: Database, count: int, share: float) -> UUID:
    """A job that is nearly done, with a row for each artifact."""
    of = new_job([])
    failed, counters = failing(count, share), Counter[str]()
    places = [uuid4() for _ in range(count)]

    def task_rows() -> Iterator[tuple[Any, ...]]:
        for position, place in enumerate(places):
            at = NOW + timedelta(milliseconds=position)
            named = (of.id, position, place, f"DOC-{position // 1000:04d}-{place.hex[:8]}", 1)
            if position in failed:
                told = message(position)
                cause = cause_of(told)
                counters[cause] += 1
                yield (*named, "failed", at, None, told, place.hex, at, cause_id(cause))
            elif position < count - OPEN:
                yield (*named, "succeeded", at, tasks.to_json(stored(place)), None, None, at, None)
            else:
                yield (*named, "open", None, None, None, None, None, None)

    def artifact_rows() -> Iterator[tuple[Any, ...]]:
        for position, place in enumerate(places):
            if position not in failed and position < count - OPEN:
                it = stored(place)
                named = ("M", "M", None, "DOC", 1, place, it.system, it.schema, 1, it.content_type, it.size, it.sha256)
                yield (*named, it.bucket, it.key, it.version_id, it.archived_at, None, of.id, 0, False)

    async def work(connection: AsyncConnection) -> None:
        job = replace(of, total=count, open=count)
        assert await jobs.insert_if_absent(connection, job)
        await dialect.insert_many(connection, task, COLUMNS, task_rows())
        await dialect.insert_many(
            connection, artifact, [name for name, _ in artifacts.ARTIFACTS.columns], artifact_rows()
        )
        counts = [Count(of.id, cause_id(cause), cause, number, NOW, NOW) for cause, number in counters.items()]
        await causes.count(connection, counts)

    patient = database.patient()
    await patient.run(work)
    await patient.close()
    if database.engine.dialect.name == "postgresql":  # what autovacuum does; SQLite has nothing like it
        async with database.engine.connect() as connection:
            plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await plain.execute(text("VACUUM ANALYZE"))
    return of.id


def stored(place: UUID) -> StoredArtifact:
    return replace(stored_artifact(place.hex[:12]), key=f"PSF/OsvRecord/{place.hex[:2]}/{place.hex}/v1")


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
    async for page in of.pages(job_id, Wanted(), -1):
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

    def page(wanted: Wanted, after: int) -> Callable[[], Awaitable[str]]:
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
        "": Wanted(),
        "state=failed": Wanted(TaskState.FAILED),
        "state=succeeded": Wanted(TaskState.SUCCEEDED),
        "state=open (few)": Wanted(TaskState.OPEN),
        "the most frequent cause": Wanted(cause=causes[0]),
        "the rarest cause": Wanted(cause=causes[-1]),
        "id of a few": Wanted(prefix="DOC-0500-a"),
        "id of a thousand": Wanted(prefix="DOC-0500"),
        "id of a thousand, failed": Wanted(TaskState.FAILED, prefix="DOC-0500"),
        "id of a tenth": Wanted(prefix="DOC-05"),
        "id of all": Wanted(prefix="DOC-"),
        "id of all, failed": Wanted(TaskState.FAILED, prefix="DOC-"),
        "id of none": Wanted(prefix="none"),
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
        server = Postgres()
        server.start()
        try:
            failures, page = asyncio.run(main_async(server.create_database("job_references"), *what))
        finally:
            server.close()
    print(f"\nfailures {failures * 1e3:.0f} ms, to be below {FAILURES_MOST * 1e3:.0f} ms")
    print(f"slowest page {page * 1e3:.0f} ms, to be below {PAGE_MOST * 1e3:.0f} ms")
    return 0 if failures < FAILURES_MOST and page < PAGE_MOST else 1


if __name__ == "__main__":
    sys.exit(main())
