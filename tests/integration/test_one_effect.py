"""However often a reference is tried, and whatever lies under its key already: one job leaves one object version."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from blake3 import blake3

from tests.integration.conftest import MakeArchive
from tests.servers.source import Source
from tests.servers.source_rules import Documents
from tests.support.archive import Archive
from tests.support.archive_types import unversioned
from tests.support.effects import assert_all_succeeded
from tests.support.objects import Stored, Version, read_version, versions_in
from tests.support.records import read_topic
from tests.support.service import Service

RETENTION = timedelta(days=90)


@pytest.fixture(scope="module")
def archive(make_archive: MakeArchive) -> Archive:
    return make_archive()


@pytest.fixture(scope="module")
def service(archive: Archive) -> Iterator[Service]:
    with archive.service() as started:
        yield started


@pytest.fixture(autouse=True)
def no_rules(source: Source) -> None:
    source.clear()


def key_of(reference: str) -> str:
    h = blake3((reference + "org.python.advisory.OsvRecord").encode()).hexdigest()
    return f"PSF/OsvRecord/{h[:2]}/{h}/v0"


class Key:
    """What lies under the key of a reference, newest first."""

    def __init__(self, archive: Archive, reference: str) -> None:
        self.archive, self.reference, self.name = archive, reference, key_of(reference)

    def versions(self) -> list[Version]:
        return versions_in(self.archive.s3, self.archive.bucket, self.name)

    def read(self, version: Version) -> Stored:
        return read_version(self.archive.s3, self.archive.bucket, self.name, version.version_id)

    def put(self, content: bytes, job_id: UUID, *, locked: timedelta | None = None) -> str:
        """As this service would have put it; the version id."""
        lock: dict[str, Any] = {}
        if locked is not None:
            until = datetime.now(UTC) + locked
            lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
        answer = self.archive.s3.client().put_object(
            Bucket=self.archive.bucket,
            Key=self.name,
            Body=content,
            ContentType="application/json",
            Metadata={
                "content-type": "application/json",
                "system": "PSF",
                "schema": "OsvRecord",
                "schema-version": "1",
                "reference-id": self.reference,
                "job-id": str(job_id),
                "hash": hashlib.sha256(content).hexdigest(),
            },
            **lock,
        )
        return str(answer["VersionId"])

    def announced(self, job_id: UUID) -> list[dict[str, Any]]:
        """The events of the reference in this job."""
        events = [record.json for record in read_topic(self.archive.kafka, self.archive.events)]
        return [event for event in events if event["processId"] == str(job_id)]


def archived(service: Service, reference: str, job_id: UUID | None = None) -> UUID:
    job_id = job_id or uuid4()
    service.submit(job_id, unversioned(reference))
    assert_all_succeeded(service.wait_completed(job_id), [reference])
    return job_id


def forget_outcome(archive: Archive, job_id: UUID, *, note: bool) -> None:
    """The database as a crash leaves it before the outcome is recorded, or (`note`) before the object is noted."""
    stored = ", stored = NULL" if note else ""
    archive.query(
        f"UPDATE backfill_task SET state = 'open', published_at = NULL, finished_at = NULL{stored} WHERE job_id = $1",
        job_id,
    )
    archive.query(
        "UPDATE backfill_job SET state = 'open', open = total, succeeded = 0, completed = NULL WHERE id = $1", job_id
    )


def place(event: dict[str, Any]) -> str:
    return str(event["references"]["storageObject"]["storageObjectVersionId"])


def test_after_a_crash_between_put_and_note_the_object_of_the_job_is_found_though_the_bytes_changed(
    archive: Archive, service: Service, source: Source
) -> None:
    source.script(changing=True)
    key = Key(archive, "crashed-before-note")
    job_id = archived(service, key.reference)
    (first,) = key.versions()
    forget_outcome(archive, job_id, note=True)
    assert_all_succeeded(service.wait_completed(job_id), [key.reference])
    assert source.counts == {key.reference: 2}
    assert key.versions() == [first]
    events = key.announced(job_id)
    assert {place(event) for event in events} == {first.version_id}
    assert len({event["identity"]["idempotenceId"] for event in events}) == 1


def test_after_a_crash_between_note_and_outcome_only_the_event_is_repeated(
    archive: Archive, service: Service, source: Source
) -> None:
    key = Key(archive, "crashed-after-note")
    job_id = archived(service, key.reference)
    (first,) = key.versions()
    source.script(status=404)
    forget_outcome(archive, job_id, note=False)
    assert_all_succeeded(service.wait_completed(job_id), [key.reference])
    assert source.counts == {key.reference: 1}
    assert key.versions() == [first]
    events = key.announced(job_id)
    assert len(events) == 2
    assert {place(event) for event in events} == {first.version_id}
    assert len({event["identity"]["idempotenceId"] for event in events}) == 1
    assert len({event["identity"]["eventId"] for event in events}) == 2


def test_an_object_of_this_job_is_the_result_even_below_a_newer_one(archive: Archive, service: Service) -> None:
    key, job_id = Key(archive, "below"), uuid4()
    ours = key.put(b'{"id": "x_old"}', job_id, locked=RETENTION + timedelta(hours=1))
    key.put(b'{"id": "x_new"}', uuid4(), locked=RETENTION)
    archived(service, key.reference, job_id)
    assert len(key.versions()) == 2
    assert [place(event) for event in key.announced(job_id)] == [ours]


def test_an_object_of_this_job_without_lock_is_locked(archive: Archive, service: Service) -> None:
    key, job_id = Key(archive, "unlocked"), uuid4()
    ours = key.put(b'{"id": "x_old"}', job_id)
    archived(service, key.reference, job_id)
    (version,) = key.versions()
    assert version.version_id == ours
    assert_locked(key, version)


def test_the_same_content_of_another_job_is_adopted_and_its_lock_lengthened(archive: Archive, service: Service) -> None:
    key = Key(archive, "adopted")
    theirs = key.put(Documents().of(key.reference, None), uuid4(), locked=timedelta(days=1))
    job_id = archived(service, key.reference)
    (version,) = key.versions()
    assert version.version_id == theirs
    assert_locked(key, version)
    assert [place(event) for event in key.announced(job_id)] == [theirs]


def test_a_lock_that_ends_late_enough_stays_as_it_is(archive: Archive, service: Service) -> None:
    key = Key(archive, "locked-for-long")
    key.put(Documents().of(key.reference, None), uuid4(), locked=timedelta(days=400))
    (before,) = key.versions()
    until = key.read(before).locked_until
    archived(service, key.reference)
    (after,) = key.versions()
    assert after == before
    assert key.read(after).locked_until == until


def test_different_content_of_another_job_stays_below_a_new_version(archive: Archive, service: Service) -> None:
    key = Key(archive, "superseded")
    theirs = key.put(b'{"id": "x_other"}', uuid4(), locked=timedelta(days=1))
    job_id = archived(service, key.reference)
    new, old = key.versions()
    assert (new.is_latest, old.version_id) == (True, theirs)
    assert key.read(new).content == Documents().of(key.reference, None)
    assert key.read(new).metadata["job-id"] == str(job_id)
    assert_locked(key, new)
    assert [place(event) for event in key.announced(job_id)] == [new.version_id]


def test_two_jobs_with_different_content_of_one_reference_at_once_leave_a_version_each(
    archive: Archive, service: Service, source: Source
) -> None:
    source.script(changing=True, delay_ms=50)
    key, jobs = Key(archive, "at-once"), [uuid4() for _ in range(5)]
    for job_id in jobs:
        service.submit(job_id, unversioned(key.reference))
    for job_id in jobs:
        assert_all_succeeded(service.wait_completed(job_id), [key.reference])
    versions = {key.read(version).metadata["job-id"]: version.version_id for version in key.versions()}
    assert len(key.versions()) == len(jobs)
    for job_id in jobs:
        assert [place(event) for event in key.announced(job_id)] == [versions[str(job_id)]]


def test_two_jobs_with_the_same_content_of_one_reference_share_a_version(archive: Archive, service: Service) -> None:
    key, jobs = Key(archive, "shared"), [uuid4() for _ in range(5)]
    for job_id in jobs:
        service.submit(job_id, unversioned(key.reference))
    for job_id in jobs:
        assert_all_succeeded(service.wait_completed(job_id), [key.reference])
    (version,) = key.versions()
    assert {place(event) for job_id in jobs for event in key.announced(job_id)} == {version.version_id}


def test_a_delete_marker_is_superseded(archive: Archive, service: Service) -> None:
    key = Key(archive, "deleted")
    key.put(b'{"id": "x_other"}', uuid4())
    client = archive.s3.client()
    client.delete_object(Bucket=archive.bucket, Key=key.name)
    job_id = archived(service, key.reference)
    stored = client.head_object(Bucket=archive.bucket, Key=key.name)
    assert stored["Metadata"]["job-id"] == str(job_id)
    assert [place(event) for event in key.announced(job_id)] == [stored["VersionId"]]


def assert_locked(key: Key, version: Version) -> None:
    until = key.read(version).locked_until
    assert until is not None
    assert abs(until - datetime.now(UTC) - RETENTION) < timedelta(minutes=5)
