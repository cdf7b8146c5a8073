"""Answers that are JSON, or say so, and are not what the service answers: one message in every command."""

import json
from pathlib import Path

import httpx
import pytest

from app.cli import client, exchange, login
from app.cli.answers import Answer, Unlike, read_answer
from tests.unit.cli.conftest import JOB, Fake, job

COMMANDS = (
    ("GET", "/api/jobs", "jobs list"),
    ("GET", "/api/jobs", "jobs list --output json"),
    ("GET", "/api/jobs", "jobs list --output csv"),
    ("GET", f"/api/jobs/{JOB}", f"jobs show {JOB}"),
    ("GET", f"/api/jobs/{JOB}", f"jobs show {JOB} --output yaml"),
    ("GET", f"/api/jobs/{JOB}/failures", f"jobs failures {JOB}"),
    ("GET", f"/api/jobs/{JOB}/references", f"jobs references {JOB}"),
    ("POST", f"/api/jobs/{JOB}/pause", f"jobs pause {JOB}"),
    ("POST", f"/api/jobs/{JOB}/retry", f"jobs retry {JOB}"),
    ("POST", "/api/preflight", "jobs preflight --file {file}"),
    ("GET", "/api/artifacts", "artifacts search"),
    ("GET", "/api/artifacts/1", "artifacts show 1"),
    ("GET", "/api/audit", "audit list"),
    ("GET", "/api/artifacts/columns", "metadata columns"),
    ("GET", "/api/metadata-backfills", "metadata runs"),
    ("GET", "/api/metadata-backfills/1", "metadata show 1"),
    ("POST", "/api/metadata-backfills", "metadata run --message M"),
    ("POST", "/api/metadata-backfills/1/pause", "metadata pause 1"),
    ("GET", f"/api/jobs/{JOB}/evidence", f"evidence export --job {JOB} --to {{file}}.zip"),
    ("GET", "/api/archive-types", "reconcile --message M --expected {file} --gaps {file}.gaps"),
)
ANSWERS = (
    *(b'{"items":[{', b"", b"[]", b"null", b"{}", b'{"items":null}', b"[" * 200_000, b'"x"', b"\xff\xfe"),
    *(b'{"items":["x",1,null],"next":null}', b'{"items":[{}],"next":5}', b'{"items":{}}'),
)


def answered(fake: Fake, tmp_path: Path, command: tuple[str, str, str], answer: httpx.Response) -> str:
    """What standard error says; standard output says nothing."""
    method, path, words = command
    file = tmp_path / "list.yml"
    file.write_text("message: M\n")
    fake.says(method, path, answer)
    fake.says("GET", "/api/evidence/keys", answer)  # asked for before anything of the proof is read
    done = fake.run(*words.format(file=file).split())
    assert (done.code, done.out) == (1, "")
    assert sorted(tmp_path.glob("*.zip")) == []
    return done.err


@pytest.mark.parametrize("command", COMMANDS, ids=[each[2] for each in COMMANDS])
def test_json_that_is_not_what_was_hoped_for_is_one_message(
    command: tuple[str, str, str], fake: Fake, tmp_path: Path
) -> None:
    for content in ANSWERS:
        answer = httpx.Response(200, content=content, headers={"Content-Type": "application/json"})
        first, second = answered(fake, tmp_path, command, answer).splitlines()
        assert first.startswith("The answer is not what the service answers: ")
        assert second.startswith("Is the address right, with its context path?")


@pytest.mark.parametrize("command", COMMANDS, ids=[each[2] for each in COMMANDS])
def test_what_is_not_packed_as_it_says_is_one_message(
    command: tuple[str, str, str], fake: Fake, tmp_path: Path
) -> None:
    packed = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    stream = httpx.ByteStream(b"not gzip")
    said = answered(fake, tmp_path, command, httpx.Response(200, stream=stream, headers=packed))
    assert "sends what cannot be read" in said


@pytest.mark.parametrize("content", ["x\n", "[]\n", '{"verdict":5}\n', '{"verdict":"open"}\n{"cou', '{"counts":5}\n'])
def test_lines_of_a_list_that_are_none_are_one_message(content: str, fake: Fake, tmp_path: Path) -> None:
    command = ("POST", "/api/reconcile", "reconcile --message M --expected {file}")
    answer = httpx.Response(200, text=content, headers={"Content-Type": "application/x-ndjson"})
    assert answered(fake, tmp_path, command, answer).startswith("The answer is not what the service answers: ")


@pytest.mark.parametrize("data", ["{", "[]", "null", "{}", '{"state":"open","counts":null}'])
def test_events_that_are_no_jobs_are_one_message(data: str, fake: Fake) -> None:
    answer = httpx.Response(200, text=f"data: {data}\n\n", headers={"Content-Type": "text/event-stream"})
    fake.says("GET", f"/api/jobs/{JOB}/events", answer)
    done = fake.run("jobs", "watch", JOB)
    assert (done.code, done.out, len(done.err.splitlines())) == (1, "", 2)


def test_pages_that_never_end_are_not_read_for_ever(fake: Fake) -> None:
    fake.says("GET", "/api/jobs", {"items": [], "next": "same"})
    done = fake.run("jobs", "list")
    assert (done.code, len(fake.requests)) == (1, 2)
    assert "its pages never end" in done.err


@pytest.mark.parametrize("url", ["http://a..b/", "http://xn--", f"http://{'x' * 300}.ch", "http://xn--a-ecp.ru"])
@pytest.mark.parametrize("words", ["jobs list", "login"])
def test_names_that_no_host_can_have_are_one_message(
    url: str, words: str, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (client, login):
        monkeypatch.setattr(module, "http_client", exchange.http_client)  # it fails before it connects
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    done = fake.run(*words.split(), "--url", url)
    assert (done.code, done.out) == (1, "")
    *_, last = done.err.splitlines()
    assert last.startswith(f"{url.rstrip('/')} is no address: ")


@pytest.mark.parametrize("proxy", ["ftp://proxy", "socks5://proxy"])
def test_a_proxy_that_cannot_be_used_is_one_message(proxy: str, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "http_client", exchange.http_client)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    done = fake.run("jobs", "list")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("A proxy of the environment (HTTPS_PROXY, ALL_PROXY, …) cannot be used: ")


def test_an_object_gives_what_it_has_and_refuses_what_it_lacks() -> None:
    answer = read_answer(json.dumps(job()))
    assert answer == job()
    assert answer["counts"]["failed"] == 1
    assert answer.get("missing") is None
    with pytest.raises(Unlike, match="it has no 'missing'"):
        answer["missing"]
    with pytest.raises(Unlike, match="its 'failed' is of another kind"):
        Answer(failed="1")["failed"]
