"""`pas reconcile`: what is sent, what is shown, and the submission of the gaps."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.unit.cli.conftest import Fake, problem

TYPES = {"items": [{"messageType": "M", "topic": "t", "configId": None, "remote": True}]}


def verdict(id_: str, version: int | None, verdict: str) -> dict[str, Any]:
    return {"id": id_, "version": version, "verdict": verdict, "artifactId": None, "jobId": None}


FOUND = [
    verdict("a", 1, "archived"),
    verdict("=b", 1, "open"),
    verdict('c"', None, "unknown"),
    verdict('c"', None, "unknown"),
    verdict("d", 2, "no-data"),
    verdict("e", 3, "failed"),
]
COUNTS = {"counts": {"archived": 1, "open": 1, "failed": 1, "no-data": 1, "unknown": 2}}


def answer(*lines: Any) -> httpx.Response:
    content = "".join(json.dumps(line) + "\n" for line in lines)
    return httpx.Response(200, content=content, headers={"Content-Type": "application/x-ndjson"})


@pytest.fixture
def expected(tmp_path: Path) -> Path:
    file = tmp_path / "expected.csv"
    file.write_text("id,version\na,1\n")
    return file


def test_gaps_become_a_submission(fake: Fake, expected: Path, tmp_path: Path) -> None:
    fake.says("GET", "/api/archive-types", TYPES)
    fake.says("POST", "/api/reconcile", answer(*FOUND, COUNTS))
    gaps = tmp_path / "gaps.yml"
    done = fake.run("reconcile", "--message", "M", "--expected", str(expected), "--gaps", str(gaps))
    assert done.code == 3
    sent = fake.requests[-1]
    assert (sent.content, sent.headers["content-type"]) == (b"id,version\na,1\n", "text/csv")
    assert dict(sent.url.params) == {"message": "M"}
    assert gaps.read_text() == (
        'message: "M"\ntopic: "t"\narchiveDataReferences:\n'
        '- id: "c\\""\n- id: "d"\n  version: 2\n- id: "e"\n  version: 3\n'
    )
    assert "no-data            1" in done.out
    assert "3 references" in done.err


def test_without_gaps_there_is_no_file(fake: Fake, expected: Path, tmp_path: Path) -> None:
    fake.says("GET", "/api/archive-types", TYPES)
    fake.says("POST", "/api/reconcile", answer(*FOUND[:2], {"counts": {"archived": 1, "open": 1}}))
    gaps = tmp_path / "gaps.yml"
    gaps.write_text("of yesterday")
    done = fake.run("reconcile", "--message", "M", "--expected", str(expected), "--gaps", str(gaps))
    assert (done.code, gaps.exists()) == (0, False)


@pytest.mark.parametrize("form", ["json", "yaml", "csv", "ndjson"])
def test_verdicts_and_counts_for_programs(form: str, fake: Fake, expected: Path) -> None:
    fake.says("POST", "/api/reconcile", answer(*FOUND, COUNTS))
    done = fake.run(
        *("reconcile", "--message", "M", "--config-id", "c", "--verify"),
        *("--expected", str(expected), "--output", form),
    )
    assert done.code == 3
    assert dict(fake.requests[-1].url.params) == {"message": "M", "configId": "c", "verify": "true"}
    if form == "json":
        assert json.loads(done.out) == COUNTS["counts"]
    elif form == "ndjson":
        assert [json.loads(line) for line in done.out.splitlines()] == FOUND
        assert "1 archived, 1 open" in done.err
    elif form == "csv":
        assert done.out.splitlines()[:3] == ["id,version,verdict,artifactId,jobId", "a,1,archived,,", "'=b,1,open,,"]
    else:
        assert "no-data: 1" in done.out


def test_an_answer_that_ends_early_is_no_answer(fake: Fake, expected: Path) -> None:
    fake.says("POST", "/api/reconcile", answer(*FOUND))
    done = fake.run("reconcile", "--message", "M", "--expected", str(expected))
    assert (done.code, "too early" in done.err) == (1, True)
    fake.says("POST", "/api/reconcile", answer(FOUND[0], {"error": "The database is away."}))
    done = fake.run("reconcile", "--message", "M", "--expected", str(expected))
    assert (done.code, "The database is away." in done.err) == (1, True)
    fake.says("POST", "/api/reconcile", httpx.Response(200, html="<h1>Login</h1>"))
    done = fake.run("reconcile", "--message", "M", "--expected", str(expected))
    assert (done.code, "is not the service (200, text/html)" in done.err) == (1, True)


def test_what_cannot_be_sent_is_said(fake: Fake, expected: Path, tmp_path: Path) -> None:
    assert fake.run("reconcile", "--message", "M", "--expected", "list.txt").code == 2
    missing = fake.run("reconcile", "--message", "M", "--expected", str(tmp_path / "no.csv"))
    assert (missing.code, "no.csv" in missing.err) == (1, True)
    mistakes = [{"path": "version", "line": 2, "message": "is no number"}]
    fake.says("POST", "/api/reconcile", problem(400, detail="The list has mistakes.", errors=mistakes))
    refused = fake.run("reconcile", "--message", "M", "--expected", str(expected))
    assert (refused.code, "is no number" in refused.err) == (1, True)
    fake.says("GET", "/api/archive-types", {"items": []})
    gone = fake.run("reconcile", "--message", "M", "--expected", str(expected), "--gaps", str(tmp_path / "g.yml"))
    assert (gone.code, "cannot be submitted" in gone.err) == (1, True)
