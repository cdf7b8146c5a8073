"""`pas jobs` before a service that has all of the contract: failures, references, causes, waiting."""

import json
from pathlib import Path

import httpx
import pytest
import yaml

from tests.unit.cli.conftest import JOB, URL, Fake, job, problem

PATH = f"/api/jobs/{JOB}"
FAILURES = {
    "failed": 89,
    "causes": [
        {
            "cause": "HTTP 404",
            "count": 62,
            "first": "2026-05-08T07:26:37Z",
            "last": "2026-05-08T07:28:00Z",
            "examples": [{"position": 4, "id": "A-4", "version": None, "message": "HTTP 404", "traceId": None}],
        },
        {"cause": "$.lines[*].qty must be integer", "count": 27, "first": None, "last": None, "examples": []},
    ],
    "others": 0,
}
REFERENCE = {
    "position": 1234,
    "id": "A-4",
    "version": 3,
    "state": "failed",
    "error": {"message": "HTTP 404", "cause": "HTTP 404", "traceId": "4bf9"},
    "attempts": 4,
    "finishedAt": "2026-05-08T07:28:00Z",
    "object": None,
}


def test_a_job_is_shown_with_what_it_waits_for_who_did_what_and_why_references_failed(fake: Fake) -> None:
    waiting = {
        "for": "source",
        "name": "OsvRecordPublishedEvent",
        "since": "2026-05-08T07:26:37Z",
        "reason": "connection refused",
        "nextTry": "2026-05-08T07:27:37Z",
    }
    actions = [{"what": "paused", "by": "Dora", "at": "2026-05-08T07:26:40Z"}]
    counts = {"total": 4100, "open": 0, "succeeded": 4011, "failed": 89}
    found = job(state="open", waiting=waiting, actions=actions, counts=counts, name="May", retries=["1"])
    fake.says("GET", PATH, found)
    fake.says("GET", f"{PATH}/failures", FAILURES)
    done = fake.run("jobs", "show", JOB)
    assert done.code == 0
    lines = dict(line.split("  ", 1) for line in done.out.splitlines() if not line.startswith(" "))
    shown = {name: text.strip() for name, text in lines.items()}
    assert shown["name"] == "May"
    assert shown["state"] == "waiting"
    assert shown["references"] == "4,100: 4,011 archived; 89 failed"
    assert shown["failures"] == "62 × HTTP 404"
    assert "27 × $.lines[*].qty must be integer" in done.out
    assert shown["waits for"].startswith("source OsvRecordPublishedEvent since 2026-05-08")
    assert "connection refused" in shown["waits for"]
    assert shown["done to it"].startswith("paused 2026-05-08")
    assert shown["done to it"].endswith("by Dora")
    assert shown["retries"] == "1"


def test_a_cancelled_job_does_not_look_like_one_that_failed(fake: Fake) -> None:
    fake.says("GET", PATH, job(result="failed", cancelledBy="Dora", cancelledAt="2026-05-08T07:26:40Z"))
    out = fake.run("jobs", "show", JOB).out
    assert "state       cancelled" in out
    assert "by Dora" in out


def test_a_service_that_knows_no_causes_shows_its_jobs_all_the_same(fake: Fake) -> None:
    fake.says("GET", PATH, job())
    done = fake.run("jobs", "show", JOB)
    assert (done.code, done.err) == (0, "")
    assert "2 archived; 1 failed" in done.out


def test_failures_by_cause(fake: Fake) -> None:
    fake.says("GET", f"{PATH}/failures", FAILURES)
    done = fake.run("jobs", "failures", JOB)
    head, first, second = done.out.splitlines()
    assert head.split() == ["COUNT", "CAUSE", "FIRST", "LAST", "EXAMPLES"]
    assert first.split()[:3] == ["62", "HTTP", "404"]
    assert first.endswith("A-4")
    assert "27  $.lines[*].qty must be integer" in second
    assert "89 failed" in done.err
    assert f"pas jobs retry {JOB} --cause" in done.err
    assert json.loads(fake.run("jobs", "failures", JOB, "--output", "json").out) == FAILURES
    assert yaml.safe_load(fake.run("jobs", "failures", JOB, "--output", "yaml").out)["causes"][1]["count"] == 27
    assert len(fake.run("jobs", "failures", JOB, "--output", "ndjson").out.splitlines()) == 2


def test_references_are_filtered_by_the_service(fake: Fake) -> None:
    fake.says("GET", f"{PATH}/references", {"items": [REFERENCE], "next": None})
    done = fake.run("jobs", "references", JOB, "--state", "failed", "--cause", "HTTP 404", "--id", "A")
    assert dict(fake.requests[-1].url.params) == {"state": "failed", "cause": "HTTP 404", "id": "A", "limit": "50"}
    assert done.out.splitlines()[1].split()[:5] == ["1234", "A-4", "3", "failed", "4"]
    assert done.out.rstrip().endswith("HTTP 404")


@pytest.mark.parametrize(("form", "media"), [("csv", "text/csv"), ("ndjson", "application/x-ndjson")])
def test_all_references_come_as_the_service_streams_them(form: str, media: str, fake: Fake) -> None:
    answer = httpx.Response(
        200, content=b"position,id\r\n0,\xc3\xa4\r\n", headers={"Content-Type": f"{media}; charset=utf-8"}
    )
    fake.says("GET", f"{PATH}/references", answer)
    assert fake.run("jobs", "references", JOB, "--output", form).out == "position,id\r\n0,ä\r\n"
    assert fake.requests[-1].headers["accept"] == media
    fake.says("GET", f"{PATH}/references", httpx.Response(200, html="<h1>Login</h1>"))
    done = fake.run("jobs", "references", JOB, "--output", form)
    assert (done.code, done.out) == (1, "")
    assert "is not the service (200, text/html)" in done.err


def test_a_table_asks_for_no_more_than_it_shows_and_says_that_there_is_more(fake: Fake) -> None:
    fake.says("GET", f"{PATH}/references", {"items": [REFERENCE], "next": "more"})
    done = fake.run("jobs", "references", JOB, "--limit", "1")
    assert [request.url.params["limit"] for request in fake.requests] == ["1"]
    assert "more than these 1" in done.err


def test_a_limit_below_1_is_wrong_usage(fake: Fake) -> None:
    for number in ("0", "-1"):
        done = fake.run("jobs", "list", "--limit", number)
        assert (done.code, fake.requests) == (2, [])
        assert "--limit" in done.err


def test_pages_are_asked_for_until_the_end(fake: Fake) -> None:
    pages = {None: ({"jobId": "a"}, "1"), "1": ({"jobId": "b"}, "2"), "2": ({"jobId": "c"}, None)}

    def page(request: httpx.Request) -> object:
        item, following = pages[request.url.params.get("cursor")]
        return {"items": [item], "next": following}

    fake.says("GET", "/api/jobs", page)
    done = fake.run("jobs", "list", "--output", "ndjson", "--state", "open")
    assert [json.loads(line)["jobId"] for line in done.out.splitlines()] == ["a", "b", "c"]
    assert all(request.url.params["state"] == "open" for request in fake.requests)


def test_the_list_asks_with_all_filters(fake: Fake) -> None:
    fake.says("GET", "/api/jobs", {"items": [job(name="May")], "next": None})
    words = "--result failed --message M --kind live --started-by Dora --waiting source"
    done = fake.run("jobs", "list", *words.split())
    params = dict(fake.requests[-1].url.params)
    params.pop("limit")
    assert params == {"result": "failed", "message": "M", "kind": "live", "startedBy": "Dora", "waiting": "source"}
    assert "NAME" in done.out
    assert "May" in done.out


def test_the_list_says_which_configuration_of_a_message_a_job_is_of(fake: Fake) -> None:
    fake.says("GET", "/api/jobs", {"items": [job(message="A", configId="annex"), job(message="B")], "next": None})
    assert [line.split("  ")[1] for line in fake.run("jobs", "list").out.splitlines()[1:]] == ["A (annex)", "B"]


def test_no_jobs_is_nothing_on_standard_output(fake: Fake) -> None:
    fake.says("GET", "/api/jobs", {"items": [], "next": None})
    done = fake.run("jobs", "list")
    assert (done.code, done.out, done.err) == (0, "", "There are no such jobs.\n")
    assert fake.run("jobs", "list", "--output", "json").out == "[]\n"


def test_a_retry_of_one_cause(fake: Fake) -> None:
    fake.says("POST", f"{PATH}/retry", job(jobId="new", counts={"total": 62}))
    done = fake.run("jobs", "retry", JOB, "--cause", "HTTP 404", "--job-id", "new")
    assert fake.sent() == {"jobId": "new", "cause": "HTTP 404"}
    assert done.out == f"Job new retries 62 references of {JOB}.\n"
    fake.run("jobs", "retry", JOB)
    assert set(fake.sent()) == {"jobId"}
    assert len(fake.sent()["jobId"]) == 36


def test_a_change_that_is_not_possible_is_1(fake: Fake) -> None:
    fake.says("POST", f"{PATH}/cancel", problem(409, detail="Job has ended; nothing was changed."))
    assert fake.run("jobs", "cancel", JOB).code == 1
    assert str(fake.requests[-1].url) == f"{URL}{PATH}/cancel"


def test_a_preflight_says_plan_forecast_and_what_is_probably_not_meant(fake: Fake, tmp_path: Path) -> None:
    file = tmp_path / "job.yml"
    file.write_text("message: M\n")
    sample = {"referenceId": "A", "version": None, "verdict": "would-succeed", "message": None, "size": 3000}
    answer = {
        "ok": True,
        "message": "M",
        "references": 4100,
        "sample": [{**sample, "system": "PSF", "schema": "Osv", "schemaVersion": 1, "retentionDays": 90}],
        "buckets": [{"bucket": "b", "problem": None}],
        "warnings": [{"path": "archiveDataReferences[1].id", "line": 4, "message": "has blanks around it"}],
        "plan": "abc123",
        "forecast": {
            "references": 4100,
            "bytes": {"low": 1000, "likely": 12000000, "high": 20000000},
            "seconds": {"low": 10, "likely": 125, "high": 7300},
            "lockedUntil": "2026-08-06",
            "cost": {"amount": 1234.5, "currency": "CHF"},
        },
    }
    fake.says("POST", "/api/preflight", answer)
    done = fake.run("jobs", "preflight", "--file", str(file), "--sample", "50")
    assert done.code == 0
    assert fake.requests[-1].url.params["sample"] == "50"
    assert fake.requests[-1].content == b"message: M\n"
    for said in (
        "4,100 references of M",
        "locked for 90 days",
        "archiveDataReferences[1].id (line 4): has blanks around it",
        "11.4 MiB (from 1,000 B to 19.1 MiB)",
        "2 min 05 s (from 10 s to 2 h 01 min)",
        "2026-08-06",
        "until 2026-08-06: nothing of it can be deleted before\n",
        "1,234.50 CHF",
        "Plan abc123",
        "It would go well.",
    ):
        assert said in done.out
    fake.says("POST", "/api/preflight", {**answer, "ok": False})
    assert fake.run("jobs", "preflight", "--file", str(file)).code == 1


def test_a_forecast_says_no_more_than_is_known(fake: Fake, tmp_path: Path) -> None:
    file = tmp_path / "job.yml"
    file.write_text("message: M\n")
    documents = [
        {"referenceId": "A", "verdict": "would-succeed", "system": "PSF", "schema": name, "lockedUntil": day}
        for name, day in (("Osv", "2026-08-06"), ("Decree", "2036-05-05"), ("Osv", "2026-08-06"))
    ]
    forecast = {
        "references": 3,
        "bytes": {"low": 3000, "likely": 3000, "high": 3000},
        "seconds": {"low": 0.1, "likely": 0.2, "high": 7.5},
        "lockedUntil": "2036-05-05",
        "cost": {"amount": 0.0000021, "currency": "CHF"},
    }
    answer = {"ok": True, "message": "M", "references": 3, "sample": documents, "buckets": [], "forecast": forecast}
    fake.says("POST", "/api/preflight", answer)
    said = fake.run("jobs", "preflight", "--file", str(file)).out
    assert "Size       2.9 KiB\n" in said
    assert "Time       less than 1 s (from less than 1 s to 8 s)\n" in said
    assert "before (PSF Decree 2036-05-05, PSF Osv 2026-08-06)\n" in said
    assert "Cost       less than 0.01 CHF\n" in said
    unknown = {"references": 3, "bytes": None, "seconds": None, "lockedUntil": None, "cost": None}
    fake.says("POST", "/api/preflight", {**answer, "forecast": unknown})
    said = fake.run("jobs", "preflight", "--file", str(file)).out
    assert not any(word in said for word in ("Size ", "Time ", "Locked", "Cost"))
