"""`python -m bench.page`: what an operator waits for, in Chromium, with a job of 1,000,000 references, 400,000 of them
failed of 50 causes, on PostgreSQL; another job lies beside.

Each view is opened by a browser without a cache, until all of it is there. Exit 1 where the first view of the job, or
the last page of its failed references, takes 1 s in the median. `--sqlite`: on SQLite instead.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import uvicorn
from playwright.async_api import Browser, Page, StorageState, async_playwright

from app.api.shapes.cursors import ListOf, cursor_at
from app.db import dialect, migrations
from app.db.database import Database
from app.db.tables import job_minute
from app.domain.minutes import minute_of
from app.process.supervision import spare_the_collector
from bench.large_job import OPEN, fill
from bench.machine import Foreign
from tests.servers import Postgres, chromium
from tests.servers.ports import free_ports
from tests.support.rows import NOW
from tests.unit.ui.page_app import PageApp, page_app

MOST = 1.0
"""Seconds that the first view of a job, and the last page of its failed references, must stay below."""

DAY = 24 * 60
"""Minutes whose readings are kept, for the chart of a job."""


@asynccontextmanager
async def served(made: PageApp) -> AsyncIterator[str]:
    """The address of the page; it is served in this process."""
    port = free_ports(1)
    server = uvicorn.Server(uvicorn.Config(made.app, port=port, log_level="warning", timeout_graceful_shutdown=1))
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 -- uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await running


async def draw(database: Database, job_id: UUID, ended: int, failed: int) -> None:
    """Readings of the counters of the job, one a minute."""
    last = minute_of(NOW)
    rows = ((job_id, last - DAY + at, ended * at // DAY, failed * at // DAY) for at in range(1, DAY + 1))
    names = ("job_id", "minute", "succeeded", "failed")
    await database.run(lambda c: dialect.insert_many(c, job_minute, names, rows))


class Operator:
    """Opens each view in a new browser, which has nothing of the page but the session."""

    def __init__(self, browser: Browser, address: str) -> None:
        self._browser = browser
        self._address = address
        self._session: StorageState | None = None

    async def logs_in(self) -> None:
        context = await self._browser.new_context()
        page = await context.new_page()
        await page.goto(f"{self._address}/ui/")
        await page.get_by_role("button", name="Log in as the developer").click()
        await page.wait_for_url("**/ui/jobs")
        self._session = await context.storage_state()
        await context.close()

    async def opens(self, path: str, click: str | None = None) -> float:
        """Seconds until the view is there; with `click`, the name of a link, until the view behind it is."""
        context = await self._browser.new_context(viewport={"width": 1280, "height": 800}, storage_state=self._session)
        page = await context.new_page()
        begin = time.perf_counter()
        answer = await page.goto(f"{self._address}{path}")
        if click is not None:
            begin = time.perf_counter()
            await follow(page, click)
        seconds = time.perf_counter() - begin
        assert answer is not None
        assert (answer.status, "/ui/login" in page.url) == (200, False)
        await context.close()
        return seconds


async def follow(page: Page, name: str) -> None:
    before = page.url
    await page.get_by_role("link", name=name).first.click()
    await page.wait_for_url(lambda url: url != before, wait_until="load")


async def main_async(url: str, data_dir: Path, count: int, share: float, times: int) -> tuple[float, float]:
    database = Database(url)
    await migrations.migrate(database)
    begin = time.perf_counter()
    await fill(database, max(count // 10, 2 * OPEN), share)
    job_id = await fill(database, count, share)
    failed_count = int(count * share)
    await draw(database, job_id, count - OPEN - failed_count, failed_count)
    await database.close()
    print(f"{count:,} references, {share:.0%} failed, made in {time.perf_counter() - begin:.0f} s\n")
    spare_the_collector()
    job, failed = f"/ui/jobs/{job_id}", f"/ui/jobs/{job_id}/references?state=failed"
    before_last, middle = (cursor_at(ListOf.REFERENCES, place) for place in (count - OPEN - 101, count // 2))
    views = {
        "the list of jobs": ("/ui/jobs", None),
        "the job": (job, None),
        "its failed references": (failed, None),
        "the last page of them": (failed, "Last page"),
        "the page before the last one": (
            f"{failed}&cursor={before_last}",
            "Previous page",
        ),
        "its references, in the middle": (f"{job}/references?cursor={middle}", None),
        "a reference, by its id": (f"{job}/references?id=DOC-0500-a", None),
        "everything of one reference": (f"{job}/references/{count // 2}", None),
    }
    medians = {}
    others = Foreign()
    async with page_app(url, data_dir) as made, served(made) as address, async_playwright() as playwright:
        program = str(chromium.fetch())
        browser = await playwright.chromium.launch(executable_path=program, args=list(chromium.ARGUMENTS))
        operator = Operator(browser, address)
        await operator.logs_in()
        print("| view | least ms | median ms | most ms |\n|---|---|---|---|")
        for name, (path, click) in views.items():
            seconds = [await operator.opens(path, click) for _ in range(times)]
            medians[name] = statistics.median(seconds)
            print(
                f"| {name} | {min(seconds) * 1e3:.0f} | {medians[name] * 1e3:.0f} | {max(seconds) * 1e3:.0f} |",
                flush=True,
            )
        await browser.close()
    print(f"\nothers used {others.share():.0%} of the machine")
    return medians["the job"], medians["the last page of them"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--references", type=int, default=1_000_000)
    parser.add_argument("--failed", type=float, default=0.4, help="share of them")
    parser.add_argument("--times", type=int, default=10, help="how often each view is opened")
    parser.add_argument("--sqlite", action="store_true")
    arguments = parser.parse_args()
    what = (arguments.references, arguments.failed, arguments.times)
    with tempfile.TemporaryDirectory() as directory:
        if arguments.sqlite:
            first, last = asyncio.run(main_async(f"sqlite:///{directory}/pas.sqlite", Path(directory), *what))
        else:
            with Postgres() as server:
                first, last = asyncio.run(main_async(server.create_database("page"), Path(directory), *what))
    for name, seconds in (("first view of the job", first), ("last page of its failed references", last)):
        print(f"{name} {seconds * 1e3:.0f} ms, to be below {MOST * 1e3:.0f} ms")
    return 0 if max(first, last) < MOST else 1


if __name__ == "__main__":
    sys.exit(main())
