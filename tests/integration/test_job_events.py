"""What happens to jobs is told on Kafka: whoever is killed, and while their topic is not there."""

from collections import defaultdict
from typing import Any
from uuid import UUID, uuid4

from aiokafka.admin import AIOKafkaAdminClient

from tests.integration.conftest import MakeArchive
from tests.servers import Kafka
from tests.servers.process import run_sync
from tests.servers.source import Source
from tests.support.archive import Archive
from tests.support.archive_types import unversioned
from tests.support.contracts import assert_fits
from tests.support.records import read_topic

SETTING = "jeap.processarchive.backfill.event-topic"


def told(archive: Archive, topic: str) -> dict[UUID, list[str]]:
    """The changes of each job as they were first told, in the order of the topic."""
    changes: dict[UUID, list[str]] = defaultdict(list)
    seen = set()
    for record in read_topic(archive.kafka, topic):
        event: dict[str, Any] = record.json
        assert_fits("BackfillJobStateChangedEvent", event)
        assert record.key == event["processId"].encode()
        if event["identity"]["idempotenceId"] not in seen:
            seen.add(event["identity"]["idempotenceId"])
            changes[UUID(event["processId"])].append(event["payload"]["change"])
    return changes


def test_each_change_is_told_in_order_also_by_another_process_than_the_killed_one(make_archive: MakeArchive) -> None:
    archive = make_archive()
    topic = f"{archive.commands}-jobs"
    archive.kafka.create_topic(topic, partitions=3)
    archive.configure({SETTING: topic})
    job_ids = [uuid4() for _ in range(6)]
    with archive.services(2) as (one, two):
        archive.source.script(match="slow*", delay_ms=60_000)
        for job_id in job_ids:
            two.submit(job_id, unversioned("slow-1", "slow-2"))
            assert one.api("POST", f"/api/jobs/{job_id}/pause").status_code == 200
        one.kill()
        for job_id in job_ids:
            assert two.api("POST", f"/api/jobs/{job_id}/resume").status_code == 200
            assert two.api("POST", f"/api/jobs/{job_id}/cancel").status_code == 200
        all_of_it = {key: ["submitted", "paused", "resumed", "cancelled", "completed"] for key in job_ids}
        two.wait("all is told", lambda: told(archive, topic) == all_of_it, 60)
        two.wait("nothing is owed", lambda: archive.query("select count(*) as n from job_event") == [{"n": 0}])
    archive.source.clear()


def test_a_topic_of_job_events_that_goes_is_named_and_no_job_waits_for_it(make_archive: MakeArchive) -> None:
    with Source(delay_ms=3_000) as source:
        archive = make_archive(source=source)
        topic = f"{archive.commands}-jobs"
        archive.configure({SETTING: topic})
        job_id = uuid4()
        service = archive.service()
        try:
            service.start_listening()
            service.wait("it is missed", lambda: topic in service.problem("broker"))
            archive.kafka.create_topic(topic)
            service.wait("ready", lambda: service.ready()[0] == 200)
            delete(archive.kafka, topic)
            service.wait("it is missed again", lambda: service.problem(f"topic {topic}") != "", 30)
            service.submit(job_id, unversioned(*(f"slow-{number}" for number in range(80))))
            waited = []

            def done() -> bool:
                job = service.job(job_id)
                waited.append(job["waiting"])
                return bool(job["state"] == "completed")

            service.wait("completed", done, 90)
            assert [each for each in waited if each is not None] == []
            assert service.problem("broker") == ""
            archive.kafka.create_topic(topic)
            service.wait("told", lambda: told(archive, topic) == {job_id: ["submitted", "completed"]}, 60)
        finally:
            service.close()


def delete(kafka: Kafka, topic: str) -> None:
    async def work() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
        await admin.start()
        try:
            await admin.delete_topics([topic])
        finally:
            await admin.close()

    run_sync(work())
