"""Live topics of a service: missing ones, ones that come and go with the file, without backfill, beside a long job."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.integration.conftest import MakeArchive
from tests.servers.source import Source
from tests.support.archive import Archive
from tests.support.archive_types import DECREE, OSV, unversioned
from tests.support.effects import assert_all_succeeded
from tests.support.live_archive import advisory, advisory_type, live_jobs, send, wait_live, write_types
from tests.support.service import Service, pas

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def archive(make_archive: MakeArchive, source: Source) -> Archive:
    """With one live topic, which does not exist."""
    archive = make_archive(settings={"jeap.processarchive.backfill.concurrency": 4})
    write_types(archive, [advisory_type(f"{archive.bucket}-late", source)])
    return archive


@pytest.fixture(scope="module")
def service(archive: Archive) -> Iterator[Service]:
    with archive.service() as started:
        yield started


def named(service: Service, topic: str) -> bool:
    return any(topic in component for component in service.ready()[1]["problems"])


def test_a_missing_topic_is_named_holds_nothing_up_and_is_read_from_its_first_record_once_it_is_there(
    archive: Archive, service: Service
) -> None:
    late, job_id = f"{archive.bucket}-late", uuid4()
    service.wait("it is named", lambda: named(service, late))
    assert service.ready()[0] == 200
    service.submit(job_id, unversioned("a", "b"), OSV._replace(topic=late))
    assert_all_succeeded(service.wait_completed(job_id), ["a", "b"])
    archive.kafka.create_topic(late, 2)
    send(archive, late, 0, advisory("m-1", "late-1"))
    send(archive, late, 1, advisory("m-2", "late-2"))
    wait_live(service, OSV.name, succeeded=2, total=2)
    service.wait("it is named no more", lambda: not named(service, late))


def test_topics_come_and_go_with_the_file(archive: Archive, service: Service, source: Source) -> None:
    late, added = f"{archive.bucket}-late", f"{archive.bucket}-added"
    archive.kafka.create_topic(added)
    send(archive, added, 0, advisory("old", "old"))
    of_added = {**advisory_type(added, source), "messageType": DECREE.name}
    write_types(archive, [advisory_type(late, source), of_added])
    service.wait("begun", lambda: any(f"topic {added} begins" in each["message"] for each in service.logged()))
    new = advisory("n-1", "new-1", type={"name": DECREE.name, "version": "1.0.0"})
    send(archive, added, 0, new)
    assert wait_live(service, DECREE.name, succeeded=1)["counts"]["total"] == 1, "what was there is not taken"
    send(archive, late, 0, advisory("m-3", "late-3"))
    wait_live(service, OSV.name, succeeded=3)

    write_types(archive, [of_added])
    service.wait(
        "taken over", lambda: service.logged()[-1]["message"].endswith(f"of topics: {added}") or taken(service)
    )
    send(archive, late, 0, advisory("m-4", "late-4"))
    send(archive, added, 0, advisory("n-2", "new-2", type={"name": DECREE.name, "version": "1.0.0"}))
    wait_live(service, DECREE.name, succeeded=2)
    assert live_jobs(service)[OSV.name]["counts"]["total"] == 3
    write_types(archive, [advisory_type(late, source), of_added])
    wait_live(service, OSV.name, succeeded=4)


def taken(service: Service) -> bool:
    """Whether the flow began three times: the last time without the topic."""
    return sum("live archiving of topics" in each["message"] for each in service.logged()) == 3


def test_a_message_does_not_wait_for_a_job_of_the_same_source(
    archive: Archive, service: Service, source: Source
) -> None:
    """The job has hundreds of references left when the message that came last is archived."""
    late, job_id, names = f"{archive.bucket}-late", uuid4(), [f"slow-{number}" for number in range(1000)]
    source.script(match="slow-*", delay_ms=40)
    service.submit(job_id, unversioned(*names), OSV._replace(topic=late))
    service.wait_done(job_id, 20)
    before = live_jobs(service)[OSV.name]["counts"]["succeeded"]
    send(archive, late, 0, advisory("now", "at-once"))
    wait_live(service, OSV.name, succeeded=before + 1)
    counts = service.job(job_id)["counts"]
    assert counts["open"] > 500, counts
    assert service.api("POST", f"/api/jobs/{job_id}/cancel").status_code == 200


def test_without_backfill_messages_are_archived_and_its_endpoints_are_not_there(
    archive: Archive, service: Service, source: Source
) -> None:
    topic = f"{archive.bucket}-alone"
    service.stop()
    archive.kafka.create_topic(topic)
    archive.configure({"jeap.processarchive.backfill.enabled": False, "jeap.processarchive.live.start": "earliest"})
    write_types(archive, [advisory_type(topic, source)])
    with archive.service() as without:
        send(archive, topic, 0, advisory("without", "without"))
        without.wait("archived", lambda: any(each["message"] == "archived" for each in without.logged()))
        job_id = uuid4()
        for method, path in (
            ("PUT", f"/api/jobs/{job_id}"),
            ("GET", f"/api/jobs/{job_id}/report"),
            ("POST", "/api/preflight"),
        ):
            assert without.api(method, path).status_code == 404, path
        assert live_jobs(without)
    archive.configure(
        {
            "jeap.processarchive.backfill.enabled": False,
            "jeap.datasource.url": None,
            "jeap.processarchive.backfill.topic": None,
            "jeap.processarchive.objectstorage.storage.bucket": None,
        }
    )
    write_types(archive, [advisory_type(topic, source)])
    refused = pas("serve", "--config", str(archive.config), "--port", "0")
    assert refused.returncode == 1
    for name in ("jeap.datasource.url", "jeap.processarchive.backfill.topic", "objectstorage.storage.bucket"):
        assert f"{name}: missing; required while" in refused.stderr, refused.stderr
