"""The one client: who calls, what errors look like, what `--debug` shows and leaves out."""

import io
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli import client
from app.cli.options import ServiceOptions
from app.cli.tokens import find_tokens
from tests.unit.cli.conftest import JOB, URL, Fake, job, problem

PAGE: dict[str, Any] = {"items": [], "next": None}


def authorization(fake: Fake) -> str:
    return fake.requests[-1].headers["authorization"]


def test_the_token_is_the_option_then_the_variable_then_standard_input(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.says("GET", "/api/jobs", PAGE)
    monkeypatch.setattr("sys.stdin", io.StringIO("  from-stdin\n"))
    assert fake.run("jobs", "list", "--access-token", "from-option").code == 0
    assert authorization(fake) == "Bearer from-option"
    assert fake.run("jobs", "list").code == 0
    assert authorization(fake) == "Bearer a-token"
    monkeypatch.delenv("PAS_TOKEN")
    assert fake.run("jobs", "list").code == 0
    assert authorization(fake) == "Bearer from-stdin"


def test_without_a_token_the_ways_to_one_are_said(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PAS_TOKEN")
    done = fake.run("jobs", "list")
    assert done.code == 1
    assert done.err.splitlines() == [
        "Missing access token. Provide --access-token or pipe the token to stdin.",
        f"Or set PAS_TOKEN, or log in once: pas login --url {URL}",
    ]
    assert not fake.requests


def test_a_token_that_is_piped_may_have_a_byte_order_mark(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.says("GET", "/api/jobs", PAGE)
    monkeypatch.delenv("PAS_TOKEN")
    monkeypatch.setattr("sys.stdin", io.StringIO("\ufefffrom-powershell\r\n"))
    assert fake.run("jobs", "list").code == 0
    assert authorization(fake) == "Bearer from-powershell"


def test_an_argument_that_is_not_utf_8_is_named(fake: Fake) -> None:
    done = fake.run("artifacts", "search", "--where", "name=\udce9")
    assert (done.code, fake.requests) == (1, [])
    assert done.err.splitlines()[0] == "'\\udce9' is not UTF-8, and cannot be sent."


@pytest.mark.parametrize("token", ["two words", "tökén", "a\nb"])
def test_what_is_no_token_is_not_sent(token: str, fake: Fake) -> None:
    done = fake.run("jobs", "list", "--access-token", token)
    assert (done.code, fake.requests) == (1, [])
    assert token not in done.err


def test_mistakes_are_shown_with_path_and_line(fake: Fake, tmp_path: Path) -> None:
    errors = [
        {"path": "topic", "line": 2, "message": "is wrong"},
        {"path": "message", "message": "is missing"},
        {"path": "", "message": "is empty"},
    ]
    fake.says("POST", "/api/preflight", problem(400, detail="The submission has mistakes.", errors=errors))
    body = tmp_path / "job.yml"
    body.write_text("topic: a\n")
    done = fake.run("jobs", "preflight", "--file", str(body))
    assert (done.code, done.err.splitlines()) == (
        1,
        [
            "Error: The submission has mistakes. (HTTP 400)",
            "  topic (line 2): is wrong",
            "  message: is missing",
            "  is empty",
        ],
    )


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            httpx.Response(200, text="<html>", headers={"Content-Type": "text/html"}),
            "is not the service (200, text/html)",
        ),
        (httpx.Response(502, text="<html>"), "Error: Bad Gateway (HTTP 502)"),
        (httpx.Response(302, headers={"Location": "https://elsewhere"}), "leads to another address"),
        (problem(404), "The service has no /archive/api/jobs (HTTP 404)"),
        (problem(401, detail="The token has expired."), "pas login"),
        (httpx.Response(503, headers={"Retry-After": "5"}), "Try again in 5 s."),
    ],
)
def test_every_answer_says_what_can_be_done(answer: httpx.Response, said: str, fake: Fake) -> None:
    fake.says("GET", "/api/jobs", answer)
    done = fake.run("jobs", "list")
    assert (done.code, done.out) == (1, "")
    assert said in done.err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (httpx.ConnectError("no"), f"The service at {URL} cannot be reached: no."),
        (httpx.ReadTimeout("slow"), f"The service at {URL} did not answer in time."),
        (httpx.RemoteProtocolError("cut"), f"The service at {URL} broke the connection off."),
    ],
)
def test_a_connection_that_fails_is_one_line_and_a_way_out(error: Exception, said: str, fake: Fake) -> None:
    def fail(_request: httpx.Request) -> None:
        raise error

    fake.says("GET", "/api/jobs", fail)
    done = fake.run("jobs", "list")
    assert (done.code, done.err.splitlines()[0]) == (1, said)
    assert len(done.err.splitlines()) == 2


def test_debug_shows_the_exchange_without_the_token(fake: Fake) -> None:
    fake.says("GET", f"/api/jobs/{JOB}", httpx.Response(200, json=job(), headers={"Set-Cookie": "s=hidden"}))
    done = fake.run("jobs", "show", JOB, "--debug", "--output", "json")
    assert f"> GET {URL}/api/jobs/{JOB}" in done.err
    assert "> authorization: …" in done.err
    assert "< 200 OK" in done.err
    assert "John Doe" in done.err
    assert "a-token" not in done.err + done.out
    assert "hidden" not in done.err


def test_no_debug_no_noise(fake: Fake) -> None:
    fake.says("GET", f"/api/jobs/{JOB}", job())
    assert fake.run("jobs", "show", JOB, "--output", "json").err == ""


@pytest.mark.parametrize("id_", ["../../admin", "a?b", "a#b", "a/b", "%2e", "\udcff"])
def test_an_id_never_changes_the_address(id_: str, fake: Fake) -> None:
    fake.run("jobs", "pause", id_)
    path = fake.requests[-1].url.raw_path.decode()
    assert path.startswith("/archive/api/jobs/")
    assert path.endswith("/pause")
    assert path.count("/") == 5


@pytest.mark.parametrize(
    "url", ["pas.example.org", "ftp://a", "https://", "https://u:p@a", "https://a?x=1", "http://a:b"]
)
def test_what_is_no_address_is_wrong_usage(url: str, fake: Fake) -> None:
    assert fake.run("jobs", "list", "--url", url).code == 2


def test_a_token_that_leaves_the_machine_unencrypted_is_warned_of(fake: Fake) -> None:
    assert "unencrypted to pas.test" in fake.run("jobs", "list", "--url", "http://pas.test").err
    assert "unencrypted" not in fake.run("jobs", "list", "--url", "http://127.0.0.1:1").err


def test_a_redirect_is_not_followed_with_the_token(fake: Fake) -> None:
    fake.says("GET", "/api/jobs", httpx.Response(307, headers={"Location": "https://evil.example.org/"}))
    fake.run("jobs", "list")
    assert [request.url.host for request in fake.requests] == ["pas.example.org"]


def test_the_connection_is_used_again(fake: Fake) -> None:
    with client.Client(URL, find_tokens(ServiceOptions(), URL)) as opened:
        fake.says("GET", "/api/jobs", PAGE)
        assert opened.get("/api/jobs") == opened.get("/api/jobs") == PAGE
