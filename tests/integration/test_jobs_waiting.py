"""What a job waits for is known to all processes, and cleared by the first that gets through."""

from typing import Any
from uuid import UUID, uuid4

from tests.conftest import running
from tests.integration.conftest import MakeArchive
from tests.servers import Kafka
from tests.servers.source import Source
from tests.support.archive import SHORT_SESSION
from tests.support.archive_types import OSV, unversioned
from tests.support.effects import assert_all_succeeded
from tests.support.service import Service

MANY = [f"ref-{number}" for number in range(120)]
SLOW = {"jeap.processarchive.backfill.concurrency": 4}


def waits_for(service: Service, job_id: UUID) -> str | None:
    waiting: dict[str, Any] = service.job(job_id)["waiting"] or {}
    return waiting.get("for")


def test_one_process_sees_the_outage_of_a_source_and_another_one_gets_through(make_archive: MakeArchive) -> None:
    job_id = uuid4()
    with Source(delay_ms=100) as source:
        archive = make_archive(source=source)
        archive.configure(SLOW)
        seeing, other = archive.service(constants=SHORT_SESSION), archive.service(constants=SHORT_SESSION)
        try:
            seeing.start()
            source.kill()
            seeing.submit(job_id, unversioned(*MANY))
            seeing.wait("it waits", lambda: waits_for(seeing, job_id) == "source")
            since = seeing.job(job_id)["waiting"]["since"]
            seeing.kill()
            source.start()
            other.start()
            assert (other.job(job_id)["waiting"] or {}).get("since") == since
            other.wait("it goes on", lambda: waits_for(other, job_id) is None)
            assert other.job(job_id)["state"] == "open"
            assert other.ready()[1]["problems"] == {}
            assert_all_succeeded(other.wait_completed(job_id), MANY)
            assert [line for line in other.logged() if OSV.name in line["message"]] == []
        finally:
            seeing.close()
            other.close()


def test_jobs_wait_for_a_broker_that_is_away_in_every_process_and_go_on_when_it_is_back(
    make_archive: MakeArchive,
) -> None:
    job_id = uuid4()
    with running(Kafka()) as kafka, Source(delay_ms=100) as source:
        archive = make_archive(kafka=kafka, source=source)
        archive.configure({**SLOW, "jeap.processarchive.backfill.window": 20})
        with archive.services(2) as (one, two):
            one.submit(job_id, unversioned(*MANY))
            one.wait_done(job_id, 20)
            kafka.kill()
            one.wait("it waits", lambda: waits_for(one, job_id) == "broker")
            job = two.job(job_id)
            assert (job["waiting"]["name"], job["estimatedEnd"]) == ("broker", None)
            kafka.start()
            one.wait("it goes on", lambda: waits_for(one, job_id) is None, 90)
            assert_all_succeeded(two.wait_completed(job_id, 120), MANY)
            assert waits_for(two, job_id) is None
