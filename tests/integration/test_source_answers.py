"""What becomes of a reference follows from how its source answers; each message says step and cause."""

from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests.integration.conftest import MakeArchive
from tests.servers.source import Source
from tests.support.archive import Archive
from tests.support.archive_types import unversioned
from tests.support.objects import SCHEMAS, versions_in
from tests.support.service import Service

READ = "Failed reading artifact from source service"
SECRET = "very confidential"

PERMANENT: dict[str, tuple[dict[str, Any], str]] = {
    "404": ({"status": 404}, f"{READ}: HTTP 404"),
    "403": ({"status": 403}, f"{READ}: HTTP 403"),
    "401": ({"status": 401}, f"{READ}: HTTP 401, the token of OAuth client source-client was refused"),
    "410": ({"status": 410}, f"{READ}: HTTP 410"),
    "304": ({"status": 304}, f"{READ}: HTTP 304"),
    "redirect": ({"status": 302, "location": "/docs/elsewhere"}, f"{READ}: HTTP 302"),
    "no-system": ({"headers": {"Archive-Data-System": None}}, f"{READ}: header Archive-Data-System is missing"),
    "no-schema": ({"headers": {"Archive-Data-Schema": None}}, f"{READ}: header Archive-Data-Schema is missing"),
    "no-version": (
        {"headers": {"Archive-Data-Schema-Version": None}},
        f"{READ}: header Archive-Data-Schema-Version is missing",
    ),
    "no-type": ({"headers": {"Content-Type": None}}, f"{READ}: header Content-Type is missing"),
    "version-0": (
        {"headers": {"Archive-Data-Schema-Version": "0"}},
        f"{READ}: header Archive-Data-Schema-Version is not an integer from 1: 0",
    ),
    "unknown-schema": (
        {"headers": {"Archive-Data-Schema": "Nothing"}},
        "Unknown archive data schema PSF/Nothing version 1; system PSF has OsvRecord",
    ),
    "unknown-schema-version": (
        {"headers": {"Archive-Data-Schema-Version": "2"}},
        "Unknown archive data schema PSF/OsvRecord version 2; there is version 1",
    ),
    "wrong-type": (
        {"headers": {"Content-Type": "text/plain"}},
        "Archive data does not match schema PSF/OsvRecord version 1: "
        "its schema.json does not describe content type text/plain",
    ),
    "bucket": (
        {"headers": {"Archive-Storage-Bucket": "not-allowed"}},
        f'{READ}: header Archive-Storage-Bucket names a bucket not allowed: "not-allowed"',
    ),
    "prefix": (
        {"headers": {"Archive-Storage-Prefix": "allowed/../not"}},
        f'{READ}: header Archive-Storage-Prefix names a prefix not allowed: "allowed/../not"',
    ),
    "metadata-name": (
        {"headers": {"Archive-Metadata-Job-Id": "x"}},
        "Failed storing artifact: the custom metadata name job-id is kept for the archive itself",
    ),
    "endless": ({"endless": True}, f"{READ}: "),
    "big-metadata": (
        {"headers": {"Archive-Metadata-Big": "x" * 2000}},
        "Failed storing artifact: the custom metadata does not fit: ",
    ),
    "mismatch": (
        {"body": f'{{"id": "PSF-1", "modified": "2026-01-01T00:00:00Z", "affected": [{{"ranges": "{SECRET}"}}]}}'},
        "Archive data does not match schema PSF/OsvRecord version 1: $.affected[0].ranges: ",
    ),
    "not-json": ({"body": f'{{"id": "{SECRET}'}, "Archive data does not match schema PSF/OsvRecord version 1: "),
}
"""Id of a reference → how its source answers, and the message or, where it ends with a blank, its beginning."""


@pytest.fixture(scope="module")
def archive(make_archive: MakeArchive) -> Archive:
    made = make_archive()
    other = made.s3.create_bucket(f"{made.bucket}-b")
    storage = "jeap.processarchive.objectstorage.storage"
    made.configure(
        {
            "jeap.processarchive.backfill.retry-backoff": "10ms",
            "jeap.processarchive.http.timeout": "400ms",
            "jeap.processarchive.http.total-timeout": "1s",
            "jeap.processarchive.http.max-response-size": "256KiB",
            f"{storage}.allowed-buckets": [other],
            f"{storage}.allowed-prefixes": ["allowed/here"],
        }
    )
    return made


@pytest.fixture(scope="module")
def service(archive: Archive) -> Iterator[Service]:
    with archive.service() as started:
        yield started


@pytest.fixture(autouse=True)
def healthy(service: Service, source: Source) -> None:
    """The source has no rules and has just answered well: a failing one would be asked slowly."""
    source.clear()
    outcomes(service, "healthy")
    source.clear()


def outcomes(service: Service, *references: str, **more: Any) -> dict[str, dict[str, Any]]:
    """The entries of the report by id, when the job is completed."""
    job_id = uuid4()
    service.submit(job_id, unversioned(*references), **more)
    return {each["id"]: each for each in service.wait_completed(job_id)["archiveDataReferences"]}


def test_what_cannot_pass_fails_at_once_with_step_and_cause_and_without_values(
    service: Service, archive: Archive, source: Source
) -> None:
    for reference, (rule, _) in PERMANENT.items():
        source.script(match=reference, **rule)
    found = outcomes(service, *PERMANENT)
    traces = {seen["id"]: seen["headers"]["traceparent"].split("-")[1] for seen in source.requests}
    for reference, (_, message) in PERMANENT.items():
        outcome = found[reference]
        assert outcome["state"] == "failed"
        error = outcome["error"]
        if message.endswith(" "):
            assert error["message"].startswith(message)
        else:
            assert error["message"] == message
        assert not {SECRET, "127.0.0.1", str(source.port)} & set(error["message"].split())
        assert SECRET not in error["message"]
        assert error["traceId"] == traces[reference]
    once = dict.fromkeys(PERMANENT, 1)
    assert source.counts == {**once, "401": 2}  # one more with a fresh token
    assert len(versions_in(archive.s3, archive.bucket)) == 1  # that of `healthy`


def test_a_500_is_tried_four_times(service: Service, source: Source) -> None:
    source.script(match="500", status=500)
    error = outcomes(service, "500")["500"]["error"]
    assert error["message"] == f"{READ}: HTTP 500 (4 attempts)"
    assert source.counts == {"500": 4}
    assert {seen["headers"]["traceparent"].split("-")[1] for seen in source.requests} == {error["traceId"]}


@pytest.mark.parametrize(("retries", "attempts"), [(0, "1 attempt"), (1, "2 attempts")])
def test_num_of_retry_says_how_often(service: Service, source: Source, retries: int, attempts: str) -> None:
    source.script(match="500", status=500)
    found = outcomes(service, "500", num_of_retry=retries)
    assert found["500"]["error"]["message"] == f"{READ}: HTTP 500 ({attempts})"
    assert source.counts == {"500": retries + 1}


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_passes_is_archived_in_the_end(service: Service, source: Source, status: int) -> None:
    reference = f"passing-{status}"
    source.script(match=reference, status=status, times=2)
    assert outcomes(service, reference)[reference] == {"id": reference, "state": "succeeded"}
    assert source.counts == {reference: 3}


def test_a_short_retry_after_is_waited_for(service: Service, source: Source) -> None:
    source.script(match="busy", status=503, retry_after=1, times=1)
    assert outcomes(service, "busy")["busy"]["state"] == "succeeded"
    assert source.counts == {"busy": 2}


def test_a_long_retry_after_puts_the_task_back_and_its_attempts_are_kept(service: Service, source: Source) -> None:
    source.script(match="busy-for-long", status=500, retry_after=6, times=1)
    source.script(match="busy-for-long", status=500)
    found = outcomes(service, "busy-for-long", num_of_retry=1)
    assert found["busy-for-long"]["error"]["message"] == f"{READ}: HTTP 500 (2 attempts)"
    assert source.counts == {"busy-for-long": 2}
    put_back = [line["message"] for line in service.logged() if line["message"].startswith("put back until")]
    assert len(put_back) == 1
    assert put_back[0].endswith(": HTTP 500")


@pytest.mark.parametrize(
    ("rule", "cause"),
    [
        ({"delay_ms": 3000}, "read timed out after 400ms"),
        ({"trickle_ms": 100}, "fetch took longer than 1s"),
        ({"drop": "connection"}, "connection"),
        ({"drop": "body"}, "the response body broke off"),
    ],
)
def test_a_source_that_hangs_or_breaks_off_is_tried_again(
    service: Service, source: Source, rule: dict[str, Any], cause: str
) -> None:
    source.script(match="hanging", **rule)
    message = outcomes(service, "hanging", num_of_retry=1)["hanging"]["error"]["message"]
    assert message.startswith(f"{READ}: {cause}")
    assert message.endswith(" (2 attempts)")
    assert source.counts == {"hanging": 2}


def test_a_503_with_a_time_to_come_back_uses_up_no_attempt(service: Service, source: Source) -> None:
    source.script(match="busy", status=503, retry_after=6, times=1)
    assert outcomes(service, "busy", num_of_retry=0)["busy"]["state"] == "succeeded"
    assert source.counts == {"busy": 2}


def test_bucket_and_prefix_of_the_source_are_honoured_where_allowed(
    service: Service, archive: Archive, source: Source
) -> None:
    other = f"{archive.bucket}-b"
    source.script(match="in-bucket", headers={"Archive-Storage-Bucket": other})
    source.script(match="in-prefix", headers={"Archive-Storage-Prefix": "allowed/here/"})
    before = len(versions_in(archive.s3, archive.bucket))
    found = outcomes(service, "in-bucket", "in-prefix")
    assert Counter(each["state"] for each in found.values()) == {"succeeded": 2}
    (in_bucket,) = versions_in(archive.s3, other)
    assert in_bucket.key.startswith("PSF/OsvRecord/")
    assert [each.key for each in versions_in(archive.s3, other, SCHEMAS)] == [
        "archive-data-schema/PSF_OsvRecord_1.schema.json"
    ]
    (in_prefix,) = versions_in(archive.s3, archive.bucket, "allowed/")
    assert in_prefix.key.startswith("allowed/here/PSF/OsvRecord/")
    assert len(versions_in(archive.s3, archive.bucket)) == before + 1
    rules = archive.s3.client().get_bucket_lifecycle_configuration(Bucket=other)["Rules"]
    assert {rule["ID"] for rule in rules} == {"PSF_OsvRecord_90_90", "DEMO_DecreeDocument_365_365"}
