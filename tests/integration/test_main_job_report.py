"""The main job on real servers: what the caller sees, and what the source saw."""

import base64
import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from tests.integration.main_job import MISSING, STRANGE_IDS, Done, MainJob, trace_of, trace_of_request


@pytest.fixture(params=["osv", "decree"])
def done(request: pytest.FixtureRequest, main_job: MainJob) -> Done:
    job: Done = getattr(main_job, request.param)
    return job


def test_the_report_is_exact(main_job: MainJob) -> None:
    job = main_job.osv
    (trace_id,) = [trace_of_request(seen) for seen in job.requests if seen["id"] == MISSING]
    moment = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    head = (
        "message: OsvRecordPublishedEvent\n"
        "topic: psf-osv-record-published\n"
        "job-state: completed\n"
        "job-result: partially-succeeded\n"
        f"job-id: {job.job_id}\n"
        f"started: {moment}\n"
        f"report-created: {moment}\n"
        "started-by-name: John Doe\n"
        'started-by-ext_id: "287365"\n'
        "archiveDataReferences:\n"
    )
    tasks = ""
    for identifier, _ in job.references:
        tasks += f"  - id: {STRANGE_IDS.get(identifier, identifier)}\n"
        if identifier == MISSING:
            tasks += (
                "    state: failed\n"
                "    error:\n"
                '      message: "Failed reading artifact from source service: HTTP 404"\n'
                f"      traceId: {trace_id}\n"
            )
        else:
            tasks += "    state: succeeded\n"
    assert re.match(head, job.report)
    assert job.report[job.report.index("  - id") :] == tasks


def test_the_report_of_versioned_references_has_their_versions(main_job: MainJob) -> None:
    job = main_job.decree
    tasks = "".join(
        f"  - id: {identifier}\n    version: {version}\n    state: succeeded\n"
        for identifier, version in job.references
    )
    assert "job-result: succeeded\n" in job.report
    assert job.report.endswith(f"archiveDataReferences:\n{tasks}")


def test_the_view_of_the_job_counts_what_became_of_it(main_job: MainJob) -> None:
    view = main_job.osv.view
    assert view["counts"] == {"total": 48, "open": 0, "succeeded": 47, "failed": 1, "noDataYet": 0}
    assert (view["state"], view["result"], view["paused"]) == ("completed", "partially-succeeded", False)
    assert view["started"] < view["completed"] <= datetime.now(UTC).isoformat()
    assert view["estimatedEnd"] is None
    assert view["rate"] > 0


def test_the_same_again_is_200_in_any_order_and_starts_nothing(main_job: MainJob) -> None:
    for job, answer in zip((main_job.osv, main_job.decree), main_job.repeated, strict=True):
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["Location"] == f"/api/jobs/{job.job_id}/report"
        assert len(job.commands) == len(job.references)  # those of `run_main_job` were read after the repeat
        assert len(job.requests) == len(job.references)


def test_other_content_under_a_known_id_is_409(main_job: MainJob) -> None:
    assert main_job.different.status_code == 409
    assert main_job.different.headers["Content-Type"] == "application/problem+json"


def test_the_source_is_asked_once_per_reference_with_the_id_as_one_segment_of_the_path(done: Done) -> None:
    def target(identifier: str, version: int | None) -> str:
        return f"/docs/{quote(identifier, safe='')}" + ("" if version is None else f"?version={version}")

    assert sorted(seen["target"] for seen in done.requests) == sorted(target(*each) for each in done.references)


def test_the_source_gets_the_token_of_its_client_and_the_trace_of_the_reference(main_job: MainJob, done: Done) -> None:
    for seen in done.requests:
        claims = claims_of(seen["headers"]["authorization"])
        assert claims["aud"] == "psf-source"
        version = parse_qs(urlsplit(seen["target"]).query).get("version")
        reference = seen["id"], int(version[0]) if version else None
        assert trace_of_request(seen) == trace_of(done.job_id, reference) != done.trace_id
        assert seen["headers"]["traceparent"].endswith("-01")
    assert main_job.token_requests == 1


def test_nothing_went_to_the_dead_letters(main_job: MainJob) -> None:
    assert main_job.dead_letters == []


def claims_of(authorization: str) -> dict[str, Any]:
    payload = authorization.removeprefix("Bearer ").split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))
