"""A job says what it waits for, while one follows it: its source that goes and comes back, and the object store."""

import json
import threading
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from typing_extensions import override

from tests.servers.client import CLIENT
from tests.servers.source import Source
from tests.support.archive_types import OSV, unversioned
from tests.support.effects import assert_all_succeeded
from tests.support.embedded import Embedded
from tests.support.service import Service

FEW_SECONDS = 6.0
THREE = ["a", "b", "c"]
MANY = [f"ref-{number}" for number in range(200)]
SLOW = {"jeap.processarchive.backfill.concurrency": 4}


@pytest.fixture
def source() -> Iterator[Source]:
    with Source(delay_ms=30) as started:
        yield started


class Follower(threading.Thread):
    """Reads the events of a job to their end."""

    def __init__(self, service: Service, job_id: UUID) -> None:
        super().__init__(daemon=True)
        self.jobs: list[dict[str, Any]] = []
        self._url = f"{service.url}/api/jobs/{job_id}/events"
        self._headers = {"Authorization": f"Bearer {service.token()}"}
        self.start()

    @override
    def run(self) -> None:
        with httpx.stream("GET", self._url, headers=self._headers, timeout=60) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    self.jobs.append(json.loads(line.removeprefix("data: ")))


def wait_for(service: Service, job_id: UUID, what: str, seconds: float = FEW_SECONDS) -> dict[str, Any]:
    """The job once it says that it waits for this."""
    service.wait(
        f"the job waits for its {what}",
        lambda: (service.job(job_id)["waiting"] or {}).get("for") == what,
        seconds,
    )
    return service.job(job_id)


def metric(service: Service, line: str) -> str | None:
    """The value behind this name with its labels."""
    page = CLIENT.get(f"{service.url}/metrics").text.splitlines()
    return next((each.removeprefix(line).strip() for each in page if each.startswith(f"{line} ")), None)


def test_a_source_that_goes_and_comes_back_is_seen_by_who_follows_a_job_of_three_references(
    tmp_path: Path, source: Source
) -> None:
    job_id = uuid4()
    away = f'pas_source_unavailable{{archive_type="{OSV.name}",client=""}}'
    with Embedded(tmp_path, source).service() as service:
        source.kill()
        service.submit(job_id, unversioned(*THREE))
        follower = Follower(service, job_id)
        job = wait_for(service, job_id, "source")
        assert (job["waiting"]["name"], job["waiting"]["reason"]) == (OSV.name, "connection refused")
        assert (job["estimatedEnd"], job["counts"]["open"]) == (None, 3)
        [listed] = service.api("GET", "/api/jobs").json()["items"]
        assert listed["waiting"]["since"] == job["waiting"]["since"]
        assert service.ready() == (
            200,
            {"status": "ready", "problems": {f"source {OSV.name}": "connection refused"}},
        )
        assert metric(service, away) == "1.0"
        service.wait("counted", lambda: metric(service, 'pas_jobs_waiting{for="source"}') == "1.0")
        time.sleep(4)
        assert service.job(job_id)["waiting"]["since"] == job["waiting"]["since"]
        source.start()
        assert_all_succeeded(service.wait_completed(job_id), THREE)
        service.wait("nothing is away", lambda: metric(service, away) == "0.0")
        assert service.ready()[1]["problems"] == {}
        service.wait("no job waits", lambda: metric(service, 'pas_jobs_waiting{for="source"}') == "0.0")
        follower.join(10)
        told = [line for line in service.logged() if line["message"].startswith(f"the source of {OSV.name} is ")]
    seen = [key for key, _ in groupby((each["waiting"] or {}).get("for") for each in follower.jobs)]
    assert seen[-2:] == ["source", None]
    assert follower.jobs[-1]["state"] == "completed"
    assert [line["level"] for line in told] == ["WARNING", "INFO"]


def test_a_source_that_goes_in_the_middle_is_waited_for_until_it_answers_again(tmp_path: Path, source: Source) -> None:
    job_id = uuid4()
    with Embedded(tmp_path, source, SLOW).service() as service:
        service.submit(job_id, unversioned(*MANY))
        service.wait_done(job_id, 20)
        assert service.job(job_id)["waiting"] is None
        assert service.job(job_id)["rate"] > 0
        source.kill()
        since = wait_for(service, job_id, "source")["waiting"]["since"]
        service.kill()
        service.start()  # it has forgotten everything
        assert service.job(job_id)["waiting"]["since"] == since
        source.start()
        service.wait("it goes on", lambda: service.job(job_id)["waiting"] is None)
        assert_all_succeeded(service.wait_completed(job_id), MANY)


def test_a_source_that_asks_for_pauses_is_waited_for_until_the_pause_is_over(tmp_path: Path, source: Source) -> None:
    job_id = uuid4()
    with Embedded(tmp_path, source).service() as service:
        source.script(status=429, retry_after=3)
        service.submit(job_id, unversioned("a"))
        job = wait_for(service, job_id, "source", 2 * FEW_SECONDS)
        assert job["waiting"]["reason"] == "HTTP 429"
        source.clear()
        source.script(status=503, retry_after=40)
        service.wait("asked for a long pause", lambda: service.job(job_id)["waiting"]["reason"] == "HTTP 503")
        assert service.job(job_id)["waiting"]["nextTry"] is not None
        cancelled = service.api("POST", f"/api/jobs/{job_id}/cancel").json()
        assert (cancelled["state"], cancelled["waiting"]) == ("completed", None)


def test_jobs_wait_for_the_object_store_and_go_on_when_it_is_back(tmp_path: Path, source: Source) -> None:
    job_id, embedded = uuid4(), Embedded(tmp_path, source)
    with embedded.service() as service:
        bucket, aside = embedded.data_dir / "objects" / "archive", tmp_path / "aside"
        bucket.rename(aside)
        bucket.touch()
        service.submit(job_id, unversioned(*THREE))
        waiting = wait_for(service, job_id, "objectstore")["waiting"]
        assert (waiting["name"], waiting["nextTry"]) == ("objectstore", None)
        assert waiting["reason"] == service.problem("objectstore")
        bucket.unlink()
        aside.rename(bucket)
        assert_all_succeeded(service.wait_completed(job_id), THREE)
        assert service.job(job_id)["waiting"] is None
