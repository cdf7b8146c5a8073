"""The audit log and the proof of a job on the page."""

import csv
import io

from app.ui.state.audit import view_of
from tests.support.rows import insert_job
from tests.unit.api.job_app import succeeded
from tests.unit.ui.page_app import PageApp


async def test_what_was_done_is_listed_filtered_and_given_as_a_file(page: PageApp) -> None:
    job_id = await insert_job(page.database, 2)
    await page.log_in()
    for act in ("pause", "resume", "cancel"):
        await page.post(f"/ui/jobs/{job_id}/do/{act}")
    html = await page.seen("/ui/audit")
    assert f'href="/ui/jobs/{job_id}"' in html
    one = await page.seen(f"/ui/audit?what=job.paused&subject=job/{job_id}&who=Developer&since=2026-01-01")
    assert one.count("data-key") == 1
    assert "No entry fits" in await page.seen("/ui/audit?who=nobody")
    file = await page.get("/ui/audit.csv?what=job.resumed")
    [row] = csv.DictReader(io.StringIO(file.text))
    assert (row["what"], row["whoName"]) == ("job.resumed", "Developer")
    for wrong in ("yesterday", "0001-01-01T00:00:00%2B14:00"):
        assert (await page.get(f"/ui/audit?since={wrong}")).status_code == 400
    assert (await page.get("/ui/audit/checkpoint")).status_code == 404, "nothing is signed here"


async def test_without_the_role_there_is_neither_log_nor_proof(page: PageApp) -> None:
    job_id = await insert_job(page.database, 1)
    await page.settle(succeeded(job_id, 0))
    await page.log_in("backfilljob:read")
    html = await page.seen(f"/ui/jobs/{job_id}")
    assert "/ui/audit" not in html
    assert "Proof" not in html
    assert (await page.get("/ui/audit")).status_code == 403
    await page.log_in()
    assert "There is none: nothing is signed here" in await page.seen(f"/ui/jobs/{job_id}")
    assert (await page.get(f"/ui/jobs/{job_id}/checkpoint")).status_code == 404


def test_subjects_lead_to_their_views() -> None:
    assert view_of("job/1", lambda *_: True) == "/ui/jobs/1"
    assert view_of("service", lambda *_: True) is None
    assert view_of("archive-type/M", lambda *_: True) is None


async def test_an_auditor_is_led_to_nothing_that_the_roles_do_not_allow(page: PageApp) -> None:
    job_id = await insert_job(page.database, 2)
    await page.log_in()
    await page.post(f"/ui/jobs/{job_id}/do/cancel")
    await page.log_in("audit:read")
    html = await page.seen("/ui/audit")
    assert f"job/{job_id}" in html
    assert "/ui/jobs" not in html
