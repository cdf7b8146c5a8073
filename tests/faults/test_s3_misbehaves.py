"""An object store that answers badly: work waits or repeats, one version each, and the reason is said."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests.faults.making import MakeArchive, references
from tests.servers.http import Answer, Request
from tests.servers.s3_faults import Fault, FaultyS3, resets, resets_afterwards, says, truncates
from tests.support.archive import Archive
from tests.support.archive_types import unversioned
from tests.support.effects import assert_all_succeeded
from tests.support.service import Service

NAMES = references(60)
DATA = "/PSF/OsvRecord/"


@pytest.fixture(scope="module")
def store() -> Iterator[FaultyS3]:
    with FaultyS3() as started:
        yield started


@pytest.fixture(scope="module")
def archive(make_archive: MakeArchive, store: FaultyS3) -> Archive:
    return make_archive(s3=store)


@pytest.fixture(scope="module")
def running(archive: Archive) -> Iterator[Service]:
    with archive.service() as started:
        yield started


@pytest.fixture
def service(running: Service, store: FaultyS3) -> Iterator[Service]:
    yield running
    store.mend()


def names(what: str) -> list[str]:
    return [f"{what}-{name}" for name in NAMES]


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (says(503, "SlowDown"), "SlowDown"),
        (says(500, "InternalError"), "InternalError"),
        (says(403, "AccessDenied"), "AccessDenied"),
        (says(400, "RequestTimeTooSkewed"), "set the clock of this machine"),
        (says(400, "InvalidRequest"), "the bucket needs object lock enabled"),
        (resets, ""),
        (resets_afterwards, ""),
        (truncates, ""),
    ],
)
def test_a_store_that_answers_badly_makes_work_wait_with_its_reason(
    service: Service, store: FaultyS3, fault: Fault, named: str, request: pytest.FixtureRequest
) -> None:
    job_id, wanted = uuid4(), names(request.node.name.partition("[")[2])
    before, for_ever = store.versions(DATA), fault not in (resets_afterwards, truncates)
    store.fault("PUT", fault, part=DATA, times=1_000_000 if for_ever else len(wanted))
    service.submit(job_id, unversioned(*wanted))
    if for_ever:
        service.wait("named", lambda: named in service.problem("objectstore") != "")
        assert service.ready()[0] == 200
        assert service.job(job_id)["counts"]["failed"] == 0
        store.mend()
    assert_all_succeeded(service.wait_completed(job_id), wanted)
    assert store.versions(DATA) - before == len(wanted)
    assert set(store.created.values()) == {1}
    store.mend()
    service.wait("forgotten", lambda: service.ready() == (200, {"status": "ready", "problems": {}}), 90)


def test_a_store_that_fails_now_and_then_gets_one_version_each(service: Service, store: FaultyS3) -> None:
    job_id, wanted = uuid4(), names("now and then")
    for fault in (says(503, "SlowDown"), resets_afterwards, says(500, "InternalError"), resets, truncates):
        store.fault("PUT", fault, part=DATA, times=15)
        store.fault("HEAD", fault, part=DATA, times=3)
    service.submit(job_id, unversioned(*wanted))
    assert_all_succeeded(service.wait_completed(job_id, 180), wanted)
    assert set(store.created.values()) == {1}


def saying(**changes: str) -> Fault:
    """What the store says, with other headers."""

    def answer(request: Request, store: Callable[[Request], Answer]) -> Answer:
        truly = store(request)
        return Answer(truly.status, {**truly.headers, **{f"x-amz-meta-{k}": v for k, v in changes.items()}})

    return answer


def test_an_object_with_another_hash_of_another_job_is_superseded_by_a_new_version(
    service: Service, store: FaultyS3
) -> None:
    first, second, wanted = uuid4(), uuid4(), ["another-hash"]
    service.submit(first, unversioned(*wanted))
    assert_all_succeeded(service.wait_completed(first), wanted)
    before = store.versions(DATA)
    store.fault("HEAD", saying(hash="0" * 64), part=DATA)
    service.submit(second, unversioned(*wanted))
    assert_all_succeeded(service.wait_completed(second), wanted)
    assert store.versions(DATA) - before == 1
    for path in [path for path, count in store.created.items() if count == 2]:
        del store.created[path]


def test_a_schema_object_with_another_hash_fails_the_task_clearly(make_archive: MakeArchive) -> None:
    with FaultyS3() as store:
        archive, job_id = make_archive(s3=store), uuid4()
        store.fault("PUT", says(412, "PreconditionFailed"), part="archive-data-schema/PSF_")
        other: dict[str, Any] = {
            "ETag": '"1"',
            "x-amz-version-id": "v1",
            "x-amz-meta-hash": "0" * 64,
            "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT",
        }
        store.fault("HEAD", lambda request, answer: Answer(200, other), part="archive-data-schema/PSF_")
        with archive.service() as service:
            service.submit(job_id, unversioned("a"))
            report = service.wait_completed(job_id)
    (entry,) = report["archiveDataReferences"]
    assert entry["state"] == "failed"
    assert "schema PSF/OsvRecord version 1 differs from what is stored" in entry["error"]["message"]
