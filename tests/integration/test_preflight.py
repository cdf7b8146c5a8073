"""A preflight says what would become of a job, and writes nothing."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import running
from tests.integration.conftest import MakeArchive
from tests.servers import SeaweedFS
from tests.servers.source import Source
from tests.support.archive import Archive
from tests.support.archive_types import DECREE, OSV, YAML_TYPE, Message, Reference, submission, unversioned
from tests.support.objects import versions_in
from tests.support.service import Service

READ = "Failed reading artifact from source service"


@pytest.fixture(scope="module")
def archive(make_archive: MakeArchive) -> Archive:
    return make_archive()


@pytest.fixture(scope="module")
def started(archive: Archive) -> Iterator[Service]:
    with archive.service() as service:
        yield service


@pytest.fixture
def service(started: Service, source: Source) -> Service:
    source.clear()
    return started


def preflight(service: Service, references: list[Reference], message: Message = OSV, query: str = "") -> dict[str, Any]:
    answer = service.api("POST", f"/api/preflight{query}", content=submission(message, references), headers=YAML_TYPE)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_job_that_would_succeed_is_said_to_and_nothing_is_written(
    archive: Archive, service: Service, source: Source
) -> None:
    before = list(versions_in(archive.s3, archive.bucket))
    said = preflight(service, unversioned(*(f"doc-{number}" for number in range(1001))))
    assert (said["ok"], said["message"], said["references"]) == (True, OSV.name, 1001)
    assert [each["referenceId"] for each in said["sample"]] == [f"doc-{n}" for n in (0, 250, 500, 750, 1000)]
    assert source.counts == dict.fromkeys((each["referenceId"] for each in said["sample"]), 1)
    assert said["buckets"] == [{"bucket": archive.bucket, "problem": None}]
    first = said["sample"][0]
    assert (first["verdict"], first["message"], first["present"]) == ("would-succeed", None, False)
    assert (first["system"], first["schema"], first["schemaVersion"]) == ("PSF", "OsvRecord", 1)
    assert (first["bucket"], first["retentionDays"], first["contentType"]) == (archive.bucket, 90, "application/json")
    assert list(versions_in(archive.s3, archive.bucket)) == before
    assert archive.query("SELECT * FROM backfill_job") == []

    job_id = uuid4()
    service.submit(job_id, unversioned("doc-0"))
    service.wait_completed(job_id)
    assert first["key"] in {version.key for version in versions_in(archive.s3, archive.bucket)}
    assert preflight(service, unversioned("doc-0"))["sample"][0]["present"] is True


def test_a_large_sample_of_a_large_job_has_its_forecast_and_warnings(service: Service, source: Source) -> None:
    source.script(delay_ms=50)
    ids = [*(f"doc-{number}" for number in range(9_999)), "doc-17 "]
    said = preflight(service, unversioned(*ids), query="?sample=50")
    assert (len(said["sample"]), len(source.counts)) == (50, 50)
    assert [(each["path"], each["line"]) for each in said["warnings"]] == [
        ("archiveDataReferences[9999].id", 10_003)
    ] * 2
    assert "is like 'doc-17' of archiveDataReferences[17]" in said["warnings"][1]["message"]
    forecast = said["forecast"]
    assert forecast["references"] == 10_000
    sizes = [each["size"] for each in said["sample"]]
    assert forecast["bytes"]["likely"] == pytest.approx(sum(sizes) / 50 * 10_000, abs=1)
    assert forecast["seconds"]["likely"] >= 10_000 / 64 * 0.05
    days = (date.fromisoformat(forecast["lockedUntil"]) - datetime.now(UTC).date()).days
    assert days in (90, 91)


def test_a_submission_is_held_to_its_plan_also_after_a_restart_with_other_settings(
    make_archive: MakeArchive, source: Source
) -> None:
    source.clear()
    archive = make_archive()
    body = submission(OSV, unversioned("a", "b"))
    job_id = uuid4()
    with archive.service() as service:
        plan = preflight(service, unversioned("b", "a"))["plan"]
    mode = "jeap.processarchive.objectstorage.object-lock-mode"
    archive.configure({mode: "GOVERNANCE"})
    with archive.service() as service:
        with_plan = {**YAML_TYPE, "Pas-Plan": plan}
        refused = service.api("PUT", f"/api/jobs/{job_id}", content=body, headers=with_plan)
        assert (refused.status_code, refused.headers["content-type"]) == (412, "application/problem+json")
        [changed] = refused.json()["errors"]
        assert changed["message"] == "was made with another lock mode: now GOVERNANCE"
        assert archive.query("SELECT * FROM backfill_job") == []
    archive.configure({})
    with archive.service() as service:
        assert service.api("PUT", f"/api/jobs/{job_id}", content=body, headers=with_plan).status_code == 200
        service.wait_completed(job_id)
        assert preflight(service, unversioned("a", "b"))["plan"] == plan


@pytest.mark.parametrize(
    ("rule", "verdict", "message"),
    [
        ({"status": 404}, "would-fail", f"{READ}: HTTP 404"),
        ({"status": 204}, "no-data", "the source has no archive data"),
        ({"status": 503}, "not-sure", "would be tried again: HTTP 503"),
        ({"body": "{}"}, "would-fail", "Archive data does not match schema PSF/OsvRecord version 1: "),
        (
            {"headers": {"Archive-Storage-Bucket": "not-allowed"}},
            "would-fail",
            f'{READ}: header Archive-Storage-Bucket names a bucket not allowed: "not-allowed"',
        ),
        (
            {"headers": {"Archive-Metadata-Big": "x" * 2000}},
            "would-fail",
            "Failed storing artifact: the custom metadata does not fit: ",
        ),
    ],
)
def test_a_reference_that_would_not_succeed_is_named_with_the_reason(
    service: Service, source: Source, rule: dict[str, Any], verdict: str, message: str
) -> None:
    source.script(match="bad", **rule)
    said = preflight(service, unversioned("good", "bad"))
    assert said["ok"] is False
    assert [each["verdict"] for each in said["sample"]] == ["would-succeed", verdict]
    found = said["sample"][1]["message"]
    assert found.startswith(message) if message.endswith(" ") else found == message
    assert source.counts["bad"] == 1
    assert said["sample"][1]["key"] is None


def test_without_attempts_left_a_failure_that_may_pass_is_one(service: Service, source: Source) -> None:
    source.script(match="bad", status=503)
    body = submission(OSV, unversioned("bad"), num_of_retry=0)
    said = service.api("POST", "/api/preflight", content=body, headers=YAML_TYPE).json()
    [sampled] = said["sample"]
    assert (sampled["verdict"], sampled["message"]) == ("would-fail", f"{READ}: HTTP 503 (1 attempt)")


def test_a_schema_that_is_stored_with_other_content_fails_as_it_would(
    make_archive: MakeArchive, source: Source
) -> None:
    source.clear()
    archive = make_archive()
    key = "archive-data-schema/PSF_OsvRecord_1.schema.json"
    archive.s3.client().put_object(Bucket=archive.bucket, Key=key, Body=b"{}", Metadata={"hash": "0" * 64})
    with archive.service() as service:
        [sampled] = preflight(service, unversioned("a"))["sample"]
        assert sampled["verdict"] == "would-fail"
        job_id = uuid4()
        service.submit(job_id, unversioned("a"))
        [reference] = service.wait_completed(job_id)["archiveDataReferences"]
        assert reference["error"]["message"] == sampled["message"]
        assert "differs from what is stored" in sampled["message"]


def test_a_body_with_mistakes_is_refused_as_for_a_submission(service: Service) -> None:
    body = submission(DECREE, unversioned("a"))
    refused = service.api("POST", "/api/preflight", content=body, headers=YAML_TYPE)
    submitted = service.put(uuid4(), body)
    assert (refused.status_code, refused.json()) == (400, submitted.json())
    assert service.api("POST", "/api/preflight", json={}).status_code == 415


def test_it_needs_the_role_that_submits(archive: Archive, service: Service) -> None:
    body = submission(OSV, unversioned("a"))
    reader = archive.oidc.token("pas-reader")
    assert service.api("POST", "/api/preflight", content=body, headers=YAML_TYPE, token=reader).status_code == 403


def test_the_object_store_that_hangs_is_named_and_not_the_source(make_archive: MakeArchive, source: Source) -> None:
    source.clear()
    with running(SeaweedFS()) as s3:
        archive = make_archive(s3=s3)
        with archive.service() as service:
            assert s3.process is not None
            os.kill(s3.process.pid, signal.SIGSTOP)
            try:
                said = preflight(service, unversioned("a", "b"))
            finally:
                os.kill(s3.process.pid, signal.SIGCONT)
        assert {(each["verdict"], each["present"]) for each in said["sample"]} == {("would-succeed", None)}
        assert said["buckets"] == [{"bucket": archive.bucket, "problem": "no answer within 5 s"}]


def test_more_preflights_than_there_is_room_for_are_told_to_come_again(service: Service, source: Source) -> None:
    source.script(delay_ms=4000)
    body = submission(OSV, unversioned("a"))
    with ThreadPoolExecutor(20) as threads:
        asked = [
            threads.submit(service.api, "POST", "/api/preflight", content=body, headers=YAML_TYPE) for _ in range(20)
        ]
        answers = [each.result() for each in asked]
    assert Counter(answer.status_code for answer in answers) == {200: 8, 503: 12}
    assert all("Retry-After" in answer.headers for answer in answers if answer.status_code == 503)
    source.clear()
    assert preflight(service, unversioned("a"))["ok"] is True


def test_a_bucket_without_lock_is_named_with_the_way_out(make_archive: MakeArchive, source: Source) -> None:
    source.clear()
    archive = make_archive(make=("topics", "database"))
    archive.s3.create_bucket(archive.bucket, lock=False)
    with archive.service().start_listening() as service:
        service.wait("the keys are there", lambda: service.api("GET", "/api/jobs").status_code == 200)
        said = preflight(service, unversioned("a"))
        assert said["ok"] is False
        [bucket] = said["buckets"]
        assert bucket["problem"].endswith("versioning is never enabled; enable it")
        assert said["sample"][0]["verdict"] == "would-succeed"
