"""The views of jobs: what they show, what they offer, and what they do."""

import re
from html import escape
from uuid import UUID

import pytest
from sqlalchemy import update

from app.db.tables import job, task
from app.domain.jobs import JobState
from tests.support.rows import NOW as THEN
from tests.support.rows import insert_job
from tests.unit.api.job_app import READ, failed, succeeded
from tests.unit.ui.page_app import HTML, PageApp

UNKNOWN = UUID(int=7)

HOSTILE = "<script>alert(1)</script>\"'><b>"


async def name(page: PageApp, job_id: UUID, text: str) -> None:
    await page.database.run(lambda c: c.execute(update(job).where(job.c.id == job_id).values(name=text)))


async def test_the_list_shows_each_job_with_its_counts_and_the_filters_are_in_the_address(page: PageApp) -> None:
    job_id = await insert_job(page.database, 1500)
    await page.settle(succeeded(job_id, 0), failed(job_id, 1))
    await page.log_in()
    html = await page.seen("/ui/jobs")
    assert f"/ui/jobs/{job_id}" in html
    assert "1,498" in html
    assert "running" in html
    assert str(job_id) not in await page.seen("/ui/jobs?state=completed")
    assert str(job_id) in await page.seen("/ui/jobs?state=open&result=&message=")
    wrong = await page.get("/ui/jobs?state=nonsense")
    assert (wrong.status_code, "is one of open, completed" in wrong.text) == (400, True)
    assert (await page.get("/ui/jobs?nonsense=1")).status_code == 400


async def test_the_list_says_which_configuration_of_a_message_a_job_is_of(page: PageApp) -> None:
    job_id = await insert_job(page.database, 1)
    await page.database.run(lambda c: c.execute(update(job).where(job.c.id == job_id).values(config_id="annex")))
    await page.log_in()
    assert re.search(r'</a> <span class="soft">annex</span>', await page.seen("/ui/jobs"))


async def test_a_job_whose_source_has_no_data_yet_says_so_in_the_list(page: PageApp) -> None:
    job_id = await insert_job(page.database, 3)
    await page.log_in()
    assert "without data" not in await page.seen("/ui/jobs")
    values = {"answered": True, "published_at": THEN, "no_data_at": THEN, "no_data_count": 1}
    ours = task.c.job_id == job_id, task.c.position < 2
    await page.database.run(lambda c: c.execute(update(task).where(*ours).values(**values)))
    assert re.search(r"2 without data, asked <time", await page.seen("/ui/jobs"))


async def test_an_empty_list_says_what_to_do_first(page: PageApp) -> None:
    await page.log_in()
    html = await page.seen("/ui/jobs")
    commands = re.search(r"<pre><code>(.*?)</code></pre>", html, re.DOTALL)
    assert commands is not None
    url, send = commands[1].splitlines()
    assert url == "export PAS_URL=http://127.0.0.1 PAS_TOKEN=$(pas dev-token)"
    assert send == "pas backfill send --file job.yml"
    assert "No job fits these filters" in await page.seen("/ui/jobs?state=open")


async def test_pages_of_the_list_lead_on(page: PageApp) -> None:
    ids = [await insert_job(page.database, 1) for _ in range(51)]
    await page.log_in()
    first = await page.seen("/ui/jobs")
    following = re.search(r'href="(/ui/jobs\?cursor=[^"]+)"', first)
    assert following is not None
    second = await page.seen(following[1])
    shown = [sum(str(each) in html for each in ids) for html in (first, second)]
    assert shown == [50, 1]
    assert "First page" in second


async def test_a_job_says_what_is_wrong_and_offers_what_its_state_allows(page: PageApp) -> None:
    job_id = await insert_job(page.database, 3)
    await page.settle(failed(job_id, 0), failed(job_id, 1))
    await page.log_in()
    html = await page.seen(f"/ui/jobs/{job_id}")
    assert READ + "HTTP 404" in html
    assert f"/ui/jobs/{job_id}/references?cause=Failed%20reading" in html
    offered = set(re.findall(r"/do/(\w+)", html))
    assert offered == {"pause", "redrive", "retry", "cancel"}
    assert f"/ui/jobs/{job_id}/events" in html
    await page.settle(succeeded(job_id, 2))
    html = await page.seen(f"/ui/jobs/{job_id}")
    assert set(re.findall(r"/do/(\w+)", html)) == {"retry"}
    assert "partially succeeded" in html
    assert "data-live" not in html


async def test_who_may_only_read_is_offered_nothing_and_may_do_nothing(page: PageApp) -> None:
    job_id = await insert_job(page.database, 2)
    await page.settle(failed(job_id, 0))
    await page.log_in("backfilljob:read")
    html = await page.seen(f"/ui/jobs/{job_id}")
    assert "/do/" not in html
    refused = await page.post(f"/ui/jobs/{job_id}/do/pause")
    assert (refused.status_code, "backfilljob:write" in refused.text) == (403, True)
    assert "paused" not in await page.seen(f"/ui/jobs/{job_id}")


async def test_each_act_is_asked_before_it_is_done(page: PageApp) -> None:
    job_id = await insert_job(page.database, 2)
    await page.log_in()
    assert "nothing is lost" in await page.seen(f"/ui/jobs/{job_id}/do/pause")
    assert "running" in await page.seen(f"/ui/jobs/{job_id}")
    for act, then in (("pause", "paused"), ("resume", "running"), ("redrive", "Redriven"), ("cancel", "cancelled")):
        answer = await page.post(f"/ui/jobs/{job_id}/do/{act}")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/ui/jobs/{job_id}"), answer.text
        assert then in await page.seen(f"/ui/jobs/{job_id}")
    again = await page.post(f"/ui/jobs/{job_id}/do/cancel")
    assert (again.status_code, "has ended" in again.text) == (409, True)
    assert (await page.post(f"/ui/jobs/{job_id}/do/nothing")).status_code == 404


async def test_a_retry_of_one_cause_leads_to_the_new_job(page: PageApp) -> None:
    job_id = await insert_job(page.database, 3)
    await page.settle(failed(job_id, 0), failed(job_id, 1, READ + "HTTP 500 (4 attempts)"), succeeded(job_id, 2))
    await page.log_in()
    asked = await page.seen(f"/ui/jobs/{job_id}/do/retry?cause={READ}HTTP 404")
    new_id = re.search(r'name="newId" value="([^"]+)"', asked)
    assert new_id is not None
    answer = await page.post(f"/ui/jobs/{job_id}/do/retry", {"newId": new_id[1], "cause": READ + "HTTP 404"})
    assert answer.headers["location"] == f"/ui/jobs/{new_id[1]}"
    shown = await page.seen(answer.headers["location"])
    assert "1 <small>" in shown, "one reference in all"
    assert f'/ui/jobs/{new_id[1]}"' in await page.seen(f"/ui/jobs/{job_id}")


async def test_references_are_filtered_found_and_given_as_a_file(page: PageApp) -> None:
    job_id = await insert_job(page.database, 150)
    await page.settle(failed(job_id, 7))
    await page.log_in()
    html = await page.seen(f"/ui/jobs/{job_id}/references")
    assert html.count("data-key") == 100
    following = re.search(r'href="([^"]+)" rel="next"', html)
    assert following is not None
    assert (await page.seen(following[1])).count("data-key") == 50
    html = await page.seen(f"/ui/jobs/{job_id}/references?state=failed")
    assert re.findall(r'data-key="(\d+)"', html) == ["7"]
    html = await page.seen(f"/ui/jobs/{job_id}/references?id=ref-14")
    assert len(re.findall(r"data-key", html)) == 11
    assert "No reference fits" in await page.seen(f"/ui/jobs/{job_id}/references?id=nobody")
    file = await page.get(f"/ui/jobs/{job_id}/references.csv?state=failed")
    assert file.headers["content-disposition"] == f'attachment; filename="references-{job_id}.csv"'
    assert file.text.count("\r\n") == 2
    one = await page.seen(f"/ui/jobs/{job_id}/references/7")
    assert "HTTP 404" in one
    assert f"https://traces.example/{7:032x}" in one
    assert (await page.get(f"/ui/jobs/{job_id}/references/150")).status_code == 404
    assert (await page.get(f"/ui/jobs/{job_id}/references/x")).status_code == 400


async def test_pages_of_references_lead_back_and_to_the_last_one(page: PageApp) -> None:
    job_id = await insert_job(page.database, 450)
    await page.settle(*(failed(job_id, number) for number in range(0, 450, 2)))
    await page.log_in()

    async def goes(path: str, link: str) -> str:
        found = re.search(rf'href="([^"]+)"[^>]*>[^<]*{link}', await page.seen(path))
        assert found is not None, link
        return found[1].replace("&amp;", "&")

    def shown(html: str) -> list[int]:
        return [int(key) for key in re.findall(r'data-key="(\d+)"', html)]

    for query, positions in (("", range(450)), ("?state=failed", range(0, 450, 2)), ("?state=open", range(1, 450, 2))):
        first = f"/ui/jobs/{job_id}/references{query}"
        last = await goes(first, "Last page")
        assert shown(await page.seen(last)) == list(positions)[-100:]
        before = await goes(last, "Previous page")
        assert shown(await page.seen(before)) == list(positions)[-200:-100]
        assert shown(await page.seen(await goes(before, "First page"))) == list(positions)[:100]
        assert "Previous page" not in await page.seen(first)
        assert "Last page" not in await page.seen(last)
    assert "Last page" not in await page.seen(f"/ui/jobs/{job_id}/references?id=ref-")


async def test_the_report_is_a_file(page: PageApp) -> None:
    job_id = await insert_job(page.database, 1)
    await page.log_in()
    for query in ("", "?merged=true"):
        answer = await page.get(f"/ui/jobs/{job_id}/report.yaml{query}")
        assert answer.headers["content-disposition"] == f'attachment; filename="report-{job_id}.yaml"'
        assert answer.text.startswith("message: M")


async def test_what_a_submission_or_a_source_says_is_text_everywhere(page: PageApp) -> None:
    job_id = await insert_job(page.database, 2)
    await name(page, job_id, HOSTILE)
    await page.database.run(lambda c: c.execute(update(task).where(task.c.position == 0).values(reference_id=HOSTILE)))
    await page.settle(failed(job_id, 0, HOSTILE))
    await page.log_in("backfilljob:read", "backfilljob:write", name=HOSTILE)
    base = f"/ui/jobs/{job_id}"
    for path in ("/ui/jobs", base, f"{base}/references", f"{base}/references/0", f"{base}/do/retry?cause={HOSTILE}"):
        html = await page.seen(path)
        assert escape(HOSTILE, quote=True).replace("&quot;", "&#34;") in html or "&lt;script&gt;" in html
        assert "<script>alert" not in html
        assert "'><b>" not in html


async def test_what_cannot_be_seen_is_shown_and_in_forms_it_stays_as_it_is(page: PageApp) -> None:
    job_id = await insert_job(page.database, 1)
    turned = "\u202egnp.exe\u200b"
    await name(page, job_id, turned)
    await page.database.run(lambda c: c.execute(update(task).values(reference_id=turned)))
    await page.log_in()
    base = f"/ui/jobs/{job_id}"
    for path in ("/ui/jobs", base, f"{base}/references", f"{base}/references/0"):
        assert "\\u202egnp.exe\\u200b" in await page.seen(path)
    assert f'data-copy="{turned}"' in await page.seen(f"{base}/references/0")
    assert f'value="{turned}"' in await page.seen(f"{base}/references?id=%E2%80%AEgnp.exe%E2%80%8B")


@pytest.mark.parametrize(
    "path", ["/ui/jobs/not-an-id", f"/ui/jobs/{UNKNOWN}", "/ui/nonsense", f"/ui/jobs/{UNKNOWN}/references"]
)
async def test_what_is_not_there_is_said_on_a_page(page: PageApp, path: str) -> None:
    await page.log_in()
    answer = await page.get(path)
    assert answer.status_code in (400, 404)
    assert answer.headers["content-type"].startswith("text/html")
    assert 'role="alert"' in answer.text


async def test_the_streams_say_when_something_changed(page: PageApp) -> None:
    job_id = await insert_job(page.database, 1)
    await page.log_in()
    await page.settle(succeeded(job_id, 0))
    answer = await page.get(f"/ui/jobs/{job_id}/events")
    assert answer.text.startswith(f"id: {JobState.COMPLETED}\ndata: {{")
    assert (await page.get(f"/ui/jobs/{job_id}/events", **{"last-event-id": "completed"})).status_code == 204


async def test_the_list_is_followed_until_the_token_ends(page: PageApp) -> None:
    await insert_job(page.database, 1)
    await page.log_in("backfilljob:read", ttl=1)
    answer = await page.get("/ui/jobs/events", **HTML)
    assert answer.text.startswith("id: list\ndata: changed\n\n")
