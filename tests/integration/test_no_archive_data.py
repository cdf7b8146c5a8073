"""A source without data for a reference: it stays open, can be seen, and is archived after a redrive."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests.integration.conftest import MakeArchive
from tests.servers.source import Source
from tests.support.archive_types import unversioned
from tests.support.effects import assert_all_succeeded
from tests.support.service import Service


@pytest.fixture(scope="module")
def service(make_archive: MakeArchive) -> Iterator[Service]:
    with make_archive().service() as started:
        yield started


@pytest.mark.parametrize("rule", [{"status": 204}, {"empty": True}, {"empty": True, "headers": {"Content-Type": None}}])
def test_references_without_data_stay_open_until_a_redrive_finds_some(
    service: Service, source: Source, rule: dict[str, Any]
) -> None:
    source.clear()
    job_id = uuid4()
    source.script(match="later-*", **rule)
    references = ["there-1", "later-1", "there-2", "later-2"]
    service.submit(job_id, unversioned(*references))
    job = service.wait_counts(job_id, succeeded=2, noDataYet=2)
    assert job["counts"] == {"total": 4, "open": 2, "succeeded": 2, "failed": 0, "noDataYet": 2}
    assert job["state"] == "open"
    assert job["result"] is None
    assert job["noDataAt"] >= job["started"]
    assert job["estimatedEnd"] is None
    assert [each["state"] for each in service.report(job_id)["archiveDataReferences"]] == [
        "succeeded",
        "open",
        "succeeded",
        "open",
    ]

    service.redrive(job_id)  # still nothing: asked once more, and open as before
    service.wait("asked again", lambda: source.counts["later-1"] == source.counts["later-2"] == 2)
    service.wait_counts(job_id, noDataYet=2, open=2)

    source.clear()
    assert service.redrive(job_id)["counts"]["open"] == 2
    assert_all_succeeded(service.wait_completed(job_id), references)
    assert source.counts == {"later-1": 1, "later-2": 1}  # what has an outcome is not asked for again
    assert service.job(job_id)["counts"]["noDataYet"] == 0


def test_a_redrive_of_a_completed_job_changes_nothing(service: Service, source: Source) -> None:
    source.clear()
    job_id = uuid4()
    service.submit(job_id, unversioned("done"))
    before = service.wait_completed(job_id)
    assert service.redrive(job_id)["state"] == "completed"
    assert service.report(job_id) == before
    assert source.counts == {"done": 1}


def test_a_redrive_of_an_unknown_job_is_404(service: Service) -> None:
    assert service.api("POST", f"/api/jobs/{uuid4()}/redrive").status_code == 404
