"""The command line in this process, before a service that answers what a test says."""

import functools
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.__main__ import main
from app.cli import client, exchange, login, oauth

URL = "https://pas.example.org/archive"
JOB = "88dbb65f-9634-4685-bc86-17b72d715d3e"


@dataclass
class Done:
    code: int
    out: str
    err: str


@dataclass
class Fake:
    """Answers by method and path; what was not told is 404. `requests` are all that came."""

    run: Callable[..., Done]
    answers: dict[tuple[str, str], Any] = field(default_factory=dict)
    requests: list[httpx.Request] = field(default_factory=list)

    def says(self, method: str, path: str, answer: Any) -> None:
        """JSON, a response, or a function from the request to one of them. Without a host it is the service's."""
        self.answers[method, path if path.startswith("https:") else URL + path] = answer

    def handle(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        address = str(request.url.copy_with(query=None))
        answer = self.answers.get((request.method, address))
        if answer is None:
            return problem(404)
        answer = answer(request) if callable(answer) else answer
        return answer if isinstance(answer, httpx.Response) else httpx.Response(200, json=answer)

    def sent(self) -> Any:
        """The JSON body of the last request."""
        return json.loads(self.requests[-1].content)


def problem(status: int, **members: Any) -> httpx.Response:
    body = {"type": "about:blank", "title": httpx.codes.get_reason_phrase(status), "status": status, **members}
    return httpx.Response(status, content=json.dumps(body), headers={"Content-Type": "application/problem+json"})


def accepted(status: int = 200) -> httpx.Response:
    """The answer to a submission."""
    return httpx.Response(status, headers={"Location": f"/archive/api/jobs/{JOB}/report"})


def report(content: bytes | httpx.SyncByteStream) -> httpx.Response:
    headers = {"Content-Type": "application/yaml"}
    if isinstance(content, bytes):
        return httpx.Response(200, content=content, headers=headers)
    return httpx.Response(200, stream=content, headers=headers)


def job(**members: Any) -> dict[str, Any]:
    """A job as the service shows it."""
    counts = {"total": 3, "open": 0, "succeeded": 2, "failed": 1, "noDataYet": 0, **members.pop("counts", {})}
    return {
        "jobId": JOB,
        "message": "OsvRecordPublishedEvent",
        "topic": "psf-osv-record-published",
        "configId": None,
        "name": None,
        "kind": "backfill",
        "state": "completed",
        "result": "partially-succeeded",
        "paused": False,
        "counts": counts,
        "rate": None,
        "estimatedEnd": None,
        "started": "2026-05-08T07:26:37.123Z",
        "completed": "2026-05-08T07:30:15.456Z",
        "startedByName": "John Doe",
        "startedByExtId": "287365",
        "waiting": None,
        **members,
    }


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nobody's settings, tokens or keyring are touched; standard input is empty."""
    for name in ("PAS_URL", "PAS_TOKEN", "PAS_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("app.cli.token_store._keyring", lambda: None)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    monkeypatch.setenv("TZ", "UTC")
    return tmp_path / "config" / "pas"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    def run(*words: str) -> Done:
        capsys.readouterr()
        code = main(words)
        out, err = capsys.readouterr()
        return Done(code, out, err)

    return run


@pytest.fixture
def fake(run: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> Fake:
    """The only service and issuer there is, known by PAS_URL and PAS_TOKEN."""
    made = Fake(run)
    made_client = functools.partial(exchange.http_client, transport=httpx.MockTransport(made.handle))
    for module in (client, login, oauth):
        monkeypatch.setattr(module, "http_client", made_client)
    monkeypatch.setenv("PAS_URL", URL)
    monkeypatch.setenv("PAS_TOKEN", "a-token")
    return made
