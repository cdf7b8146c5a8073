"""A source that is away: its references wait for it, and fail once the patience with it is over."""

import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.servers.client import CLIENT
from tests.servers.source import Source
from tests.support.archive_types import unversioned
from tests.support.effects import assert_all_succeeded
from tests.support.embedded import Embedded
from tests.support.service import Service

NAMES = [f"ref-{number}" for number in range(30)]
QUICK = {"jeap.processarchive.backfill.retry-backoff": "10ms"}


@pytest.fixture
def source() -> Iterator[Source]:
    with Source() as started:
        yield started


def test_references_wait_for_a_source_that_is_away_even_without_retries(tmp_path: Path, source: Source) -> None:
    job_id = uuid4()
    with Embedded(tmp_path, source, QUICK).service() as service:
        source.kill()
        service.submit(job_id, unversioned(*NAMES), num_of_retry=0)
        service.wait("the source was tried and tasks put back", lambda: put_back(service) >= len(NAMES))
        assert service.job(job_id)["counts"]["open"] == len(NAMES)
        source.start()
        assert_all_succeeded(service.wait_completed(job_id, 120), NAMES)


def test_references_fail_once_the_patience_with_their_source_is_over(tmp_path: Path, source: Source) -> None:
    job_id = uuid4()
    settings = {**QUICK, "jeap.processarchive.backfill.source-patience": "4s"}
    with Embedded(tmp_path, source, settings).service() as service:
        source.kill()
        service.submit(job_id, unversioned(*NAMES))
        report = service.wait_completed(job_id, 120)
        source.start()
        retried = uuid4()
        assert service.api("POST", f"/api/jobs/{job_id}/retry", json={"jobId": str(retried)}).status_code in (200, 201)
        assert_all_succeeded(service.wait_completed(retried, 120), NAMES)
    assert {each["error"]["message"] for each in report["archiveDataReferences"]} == {
        "Failed reading artifact from source service: connection refused (unreachable for 4s)"
    }


def put_back(service: Service) -> float:
    found = re.search(r'^pas_tasks_total\{outcome="put_back"\} (.+)$', CLIENT.get(f"{service.url}/metrics").text, re.M)
    assert found is not None
    return float(found[1])
