"""A list compared on the page: counts, what is missing, and a new job of it."""

import re
from html import unescape

from app.domain.jobs import TaskId, TaskState
from app.domain.tasks import Outcome
from app.ui.state.reconcile import SHOWN
from tests.support.rows import insert_job
from tests.unit.ui.page_app import PageApp


async def test_what_is_neither_archived_nor_under_way_is_listed_and_offered_as_a_job(page: PageApp) -> None:
    job_id = await insert_job(page.database, 2)
    await page.settle(Outcome(TaskId(job_id, 1), TaskState.FAILED, "HTTP 404", "1" * 32))
    await page.log_in()
    assert "What should be archived" in await page.seen("/ui/reconcile")
    answer = await page.post(
        "/ui/reconcile", {"type": "M/c", "csv": 'id\r\nref-0\r\nref-1\r\n"never, seen"\r\n<b>new</b>'}
    )
    assert answer.status_code == 200
    html = answer.text
    assert "3 of 4 are missing" in html
    assert "<b>new</b>" not in html
    assert f'href="/ui/jobs/{job_id}"' in html
    gaps = re.search(r'<textarea name="csv" hidden>\n(.*?)</textarea>', html, re.DOTALL)
    assert gaps is not None
    assert unescape(gaps[1]) == 'id\nref-1\n"never, seen"\n<b>new</b>\n'
    made = await page.post("/ui/jobs/new", {"do": "csv", "type": "M/c", "name": "x", "csv": unescape(gaps[1])})
    assert "3 references were taken over." in made.text
    assert "never, seen" in made.text


async def test_a_list_without_gaps(page: PageApp) -> None:
    await insert_job(page.database, 2)
    await page.log_in()
    answer = await page.post("/ui/reconcile", {"type": "M/c", "csv": "id\nref-0\nref-1\n"})
    assert "Nothing is missing" in answer.text
    assert "Make a new job" not in answer.text


async def test_mistakes_are_named_and_nothing_is_lost(page: PageApp) -> None:
    await page.log_in()
    answer = await page.post("/ui/reconcile", {"type": "M/c", "csv": "reference\na\n"})
    assert (answer.status_code, "CSV file must start with header line: id,version" in answer.text) == (400, True)
    assert "reference\na" in answer.text
    assert "Choose the archive type." in (await page.post("/ui/reconcile", {"csv": "id\na\n"})).text
    assert (await page.post("/ui/reconcile", {"token": "other", "csv": "id\na"})).status_code == 403


async def test_who_may_only_look_is_offered_no_job(page: PageApp) -> None:
    await page.log_in("backfilljob:read")
    await insert_job(page.database, 1)
    answer = await page.post("/ui/reconcile", {"type": "M/c", "csv": "id\nnever\n"})
    assert "1 of 1 is missing" in answer.text
    assert "Make a new job" not in answer.text
    await page.log_in("artifact:read")
    assert (await page.get("/ui/reconcile")).status_code == 403


async def test_of_many_gaps_the_first_are_listed_and_all_go_into_the_job(page: PageApp) -> None:
    await page.log_in()
    await insert_job(page.database, 1)
    ids = "\n".join(f"new-{number}" for number in range(SHOWN + 7))
    html = (await page.post("/ui/reconcile", {"type": "M/c", "csv": f"id\n{ids}\n"})).text
    assert html.count("never submitted</span>") == SHOWN
    assert "… and 7 more." in html
    assert f"\nid\n{ids}\n</textarea>" in html
