"""A source that is down, or asks for a pause, costs no tasks and no slots; jobs of other sources keep their pace."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import UUID, uuid4

import pytest
import yaml

from tests.faults.conftest import Scale
from tests.faults.making import MakeArchive, references
from tests.servers.source import Source
from tests.support.archive import Archive
from tests.support.archive_types import OSV, Message, unversioned
from tests.support.service import Service

FEW = 10
SLOTS = 16
OTHER = Message("OtherRecordPublishedEvent", "psf-other-record-published")
"""Of the same kind as OSV, from another source."""


class Two(NamedTuple):
    archive: Archive
    failing: Source
    steady: Source


@pytest.fixture
def two(make_archive: MakeArchive) -> Iterator[Two]:
    """Each source takes 100 ms."""
    with Source(delay_ms=100) as failing, Source(delay_ms=100) as steady:
        archive = make_archive(source=failing)
        archive.configure(
            {
                "jeap.processarchive.backfill.concurrency": SLOTS,
                "jeap.processarchive.backfill.retry-backoff": "500ms",
                "jeap.processarchive.http.timeout": "1s",
            }
        )
        types = archive.directory / "archive-types.yml"
        write_types(types, failing, steady)
        yield Two(archive, failing, steady)


def write_types(path: Path, failing: Source, steady: Source) -> None:
    entries = [
        {"messageType": message.name, "topic": message.topic, "uri": source.uri}
        for message, source in ((OSV, failing), (OTHER, steady))
    ]
    path.write_text(yaml.safe_dump({"archiveTypes": entries}))


def done(service: Service, job_id: UUID) -> int:
    counts = service.job(job_id)["counts"]
    return int(counts["succeeded"] + counts["failed"])


def pace(service: Service, job_id: UUID, seconds: float) -> float:
    """References done in a second."""
    begin, before = time.monotonic(), done(service, job_id)
    time.sleep(seconds)
    return (done(service, job_id) - before) / (time.monotonic() - begin)


def test_a_source_that_is_down_costs_no_task_and_leaves_others_their_pace(two: Two, scale: Scale) -> None:
    archive, failing, steady = two
    bad, good, names = uuid4(), uuid4(), references(min(scale.references, 1000))
    many = references(int(60 * scale.source_outage) + 600)
    with archive.service() as service:
        service.submit(bad, unversioned(*names))
        service.submit(good, unversioned(*many), OTHER)
        service.wait_done(bad, 30)
        service.wait_done(good, 30)
        before = pace(service, good, 4)
        failing.kill()
        try:
            during = pace(service, good, scale.source_outage)
            waits = {job_id: service.job(job_id)["waiting"] for job_id in (bad, good)}
            health = service.ready()
        finally:
            failing.start()
        print(f"references of the other source in a second: {before:.0f} before, {during:.0f} during")  # noqa: T201
        assert during > before / 2
        assert waits[bad]["name"] == OSV.name
        assert waits[good] is None
        assert health == (200, {"status": "ready", "problems": {f"source {OSV.name}": waits[bad]["reason"]}})
        service.wait("completed", lambda: service.job(bad)["state"] == "completed", 180)
        assert service.job(bad)["counts"]["failed"] == 0
        assert service.job(good)["counts"]["failed"] == 0
        assert steady.load["peak"] >= SLOTS // 2
        lines = [(line["level"], line["message"]) for line in service.logged()]
    away = [level for level, message in lines if message.startswith(f"the source of {OSV.name} is away")]
    back = [level for level, message in lines if message.startswith(f"the source of {OSV.name} is back after")]
    assert (away, back) == (["WARNING"], ["INFO"])
    assert [message for level, message in lines if "is given a rest" in message and level != "DEBUG"] == []


def test_a_source_that_fails_is_asked_one_at_a_time(two: Two, scale: Scale) -> None:
    archive, failing, _ = two
    job_id = uuid4()
    with archive.service() as service:
        service.submit(job_id, unversioned(*references(min(scale.references, 1000))))
        service.wait_done(job_id, 30)
        failing.script(status=500)
        time.sleep(3)
        begin, before = time.monotonic(), failing.load["requests"]
        most = 0
        while time.monotonic() - begin < scale.source_outage - 3:
            most = max(most, failing.load["in_flight"])
            time.sleep(0.02)
        asked = failing.load["requests"] - before
        print(f"asked {asked} times, {most} at once")  # noqa: T201
        assert most <= 1
        assert asked <= scale.source_outage * 2
        failing.clear()
        service.wait("completed", lambda: service.job(job_id)["state"] == "completed", 180)
        assert service.job(job_id)["counts"]["failed"] <= FEW


def test_a_pause_that_a_source_asks_for_holds_no_slot(two: Two, scale: Scale) -> None:
    archive, failing, steady = two
    bad, good, names = uuid4(), uuid4(), references(min(scale.references, 1000) // 2)
    with archive.service() as service:
        failing.script(status=503, retry_after=scale.retry_after)
        begin = time.monotonic()
        service.submit(bad, unversioned(*names))
        service.wait("the source was asked", lambda: failing.load["requests"] > 0)
        time.sleep(1)
        refused = failing.load["requests"]
        failing.clear()
        service.submit(good, unversioned(*names), OTHER)
        service.wait("completed", lambda: service.job(good)["state"] == "completed", 180)
        assert steady.load["peak"] > SLOTS // 2  # nothing else holds a slot
        assert refused <= SLOTS
        if time.monotonic() - begin < scale.retry_after - 1:
            assert failing.load["requests"] == 0
        service.wait("completed", lambda: service.job(bad)["state"] == "completed", 180)
        assert time.monotonic() - begin > scale.retry_after
        assert service.job(bad)["counts"]["failed"] == 0
