"""Login, session, logout, and what keeps other sites out."""

import re
from pathlib import Path

import httpx
import pytest

from app.api.auth.dev_issuer import mint
from app.sessions.store import SessionTokens
from app.ui.answers import headers_of
from app.ui.static_files import address_of_static
from tests.support.rows import insert_job
from tests.unit.ui.page_app import HTML, PageApp


async def test_who_is_not_logged_in_is_led_to_the_login_and_back(page: PageApp) -> None:
    answer = await page.get("/ui/jobs?state=open")
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/login?next=%2Fui%2Fjobs%3Fstate%3Dopen")
    login = await page.seen(answer.headers["location"])
    place = re.search(r'action="(/ui/login\?next=[^"]+)"', login)
    assert place is not None
    back = await page.client.post(place[1])
    assert (back.status_code, back.headers["location"]) == (303, "/ui/jobs?state=open")
    assert (await page.get("/ui/jobs?state=open")).status_code == 200


async def test_the_root_leads_to_the_page_and_that_to_the_first_view_allowed(page: PageApp) -> None:
    assert (await page.get("/")).headers["location"] == "/ui/"
    assert (await page.get("/ui/")).headers["location"] == "/ui/login"
    await page.log_in("backfilljob:read")
    assert (await page.get("/ui/")).headers["location"] == "/ui/jobs"
    await page.log_in("other:read")
    answer = await page.get("/ui/")
    assert (answer.status_code, "no role of this service" in answer.text) == (403, True)


async def test_scripts_and_streams_get_401_instead_of_the_login(page: PageApp) -> None:
    assert (await page.get("/ui/jobs", **{"pas-script": "1"})).status_code == 401
    assert (await page.client.get("/ui/jobs/events", headers={"accept": "text/event-stream"})).status_code == 401


@pytest.mark.parametrize(
    ("referer", "back"),
    [
        ({}, "/ui/jobs/{}/do/retry"),
        ({"referer": "http://127.0.0.1/ui/jobs/{}/do/retry?cause=a%26b"}, "/ui/jobs/{}/do/retry?cause=a%26b"),
        ({"referer": "http://127.0.0.1/ui/jobs/{}"}, "/ui/jobs/{}"),
        ({"referer": "http://evil.example/elsewhere"}, "/ui/"),
        ({"referer": "http://[/"}, "/ui/jobs/{}/do/retry"),
    ],
)
async def test_a_form_that_is_sent_when_the_session_has_ended_gets_the_login_and_leads_back(
    page: PageApp, referer: dict[str, str], back: str
) -> None:
    job_id = await insert_job(page.database, 1)
    await page.log_in()
    page.client.cookies.clear()
    headers = {name: value.format(job_id) for name, value in referer.items()}
    answer = await page.post(f"/ui/jobs/{job_id}/do/retry", None, **HTML, **headers)
    assert (answer.status_code, answer.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert "nothing was done" in answer.text
    place = re.search(r'action="(/ui/login\?next=[^"]+)"', answer.text)
    assert place is not None
    login = await page.client.post(place[1])
    assert (login.status_code, login.headers["location"]) == (303, back.format(job_id))


async def test_a_script_that_sends_a_form_without_a_session_gets_a_401_without_a_page(page: PageApp) -> None:
    for headers in ({}, {"pas-script": "1", **HTML}):
        answer = await page.post("/ui/jobs/new", None, **headers)
        assert (answer.status_code, answer.text) == (401, "not logged in")


async def test_the_cookie_is_for_nobody_else(page: PageApp) -> None:
    def attributes(answer: httpx.Response) -> set[str]:
        return {
            part.split("=")[0].lower() if "=" not in part else part.lower()
            for part in answer.headers["set-cookie"].split("; ")[1:]
        }

    answer = await page.client.post("/ui/login")
    assert {"httponly", "samesite=lax", "path=/ui/", "max-age=43200"} <= attributes(answer)
    assert "secure" not in attributes(answer), "on loopback there is no TLS"


async def test_one_click_is_for_this_machine_and_its_own_page_only(page: PageApp) -> None:
    for headers in (
        {"host": "evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"origin": "http://evil.example"},
        {"host": "evil.example:8080"},
    ):
        assert (await page.client.post("/ui/login", headers=headers)).status_code == 403
    transport = httpx.ASGITransport(page.app, client=("192.0.2.7", 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as other:
        assert (await other.post("/ui/login")).status_code == 403


async def test_ports_of_one_host_have_sessions_of_their_own(page: PageApp) -> None:
    answer = await page.client.post("/ui/login", headers={"host": "localhost:8081"})
    assert answer.headers["set-cookie"].startswith("pas_session_8081=")


@pytest.mark.parametrize(
    "next_",
    ["https://evil.example/", "//evil.example/ui/", "/ui/../api", "/ui//evil.example", "/ui/\\evil", "/ui/login"],
)
async def test_the_login_leads_nowhere_else(page: PageApp, next_: str) -> None:
    answer = await page.client.post("/ui/login", params={"next": next_})
    assert answer.headers["location"] in ("/ui/", "/ui/../api"), "what is of this host is looked up on this host"


async def test_logout_ends_the_session_for_everybody_who_has_its_key(page: PageApp) -> None:
    await page.log_in()
    key = page.client.cookies["pas_session"]
    answer = await page.post("/ui/logout")
    assert answer.headers["location"] == "/ui/login"
    assert 'pas_session=""' in answer.headers["set-cookie"]
    page.client.cookies.set("pas_session", key, path="/ui/")
    assert (await page.get("/ui/jobs")).status_code == 303


async def test_forms_of_other_sites_and_other_sessions_change_nothing(page: PageApp) -> None:
    job_id = await insert_job(page.database, 1)
    await page.log_in()
    pause = f"/ui/jobs/{job_id}/do/pause"
    assert (await page.post(pause, None, **{"sec-fetch-site": "cross-site"})).status_code == 403
    assert (await page.post(pause, {"token": "0" * 64})).status_code == 403
    assert (await page.client.post(pause, content=b"")).status_code == 415
    assert (await page.client.post(pause, data={"x": "y" * 40_000})).status_code == 413
    of_this = page.token
    await page.log_in()
    assert (await page.post(pause, {"token": of_this})).status_code == 403
    assert "paused by" not in (await page.seen(f"/ui/jobs/{job_id}")).lower()


async def test_an_expired_token_ends_the_session(page: PageApp) -> None:
    key = await page.page.sessions.begin(SessionTokens(mint(page.data_dir, ttl=1), 0.0))
    page.client.cookies.set("pas_session", key, path="/ui/")
    assert (await page.get("/ui/jobs")).status_code == 303


async def test_a_token_of_another_issuer_is_no_session(page: PageApp, tmp_path: Path) -> None:
    key = await page.page.sessions.begin(SessionTokens(mint(tmp_path / "other"), 4e9))
    page.client.cookies.set("pas_session", key, path="/ui/")
    assert (await page.get("/ui/jobs")).status_code == 303


async def test_every_answer_keeps_foreign_things_out(page: PageApp) -> None:
    await page.log_in()
    for path in ("/ui/login", "/ui/jobs", "/ui/nothing", "/ui/"):
        answer = await page.get(path)
        assert {name: answer.headers[name] for name in headers_of(page.page)} == headers_of(page.page)
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert not re.search(r"<[^>]+ (style|on\w+)=", answer.text)
        assert "<style" not in answer.text
        assert re.findall(r"<script[^>]*>", answer.text) in (
            [],
            [f'<script src="{address_of_static("page.js")}" defer>'],
        )


async def test_files_are_kept_while_they_are_the_present_ones(page: PageApp) -> None:
    present = await page.client.get(address_of_static("page.css"))
    assert (present.status_code, present.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
    older = await page.client.get("/ui/static/0123456789ab/page.css")
    assert (older.content, older.headers["cache-control"]) == (present.content, "no-store")
    assert (await page.client.get("/ui/static/0123456789ab/page.py")).status_code == 404
    assert (await page.client.get("/favicon.ico")).headers["content-type"] == "image/svg+xml"


async def test_behind_a_context_path_all_addresses_have_it(page: PageApp) -> None:
    page.app.root_path = "/pas"
    answer = await page.get("/pas/ui/jobs")
    assert answer.headers["location"] == "/pas/ui/login?next=%2Fpas%2Fui%2Fjobs"
    answer = await page.client.post("/pas/ui/login", params={"next": "/pas/ui/jobs"})
    assert answer.headers["location"] == "/pas/ui/jobs"
    assert "Path=/pas/ui/" in answer.headers["set-cookie"]
    html = await page.seen("/pas/ui/jobs")
    assert not re.findall(r'(?:href|src|action)="/ui', html)
