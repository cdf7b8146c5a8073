"""Submissions of one job id that race on two processes."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import httpx
import pytest

from tests.integration.conftest import MakeArchive
from tests.support.archive import Archive
from tests.support.archive_types import OSV, submission, unversioned
from tests.support.effects import assert_all_succeeded
from tests.support.records import Record, read_topic
from tests.support.service import Service

REFERENCES = [f"ref-{number}" for number in range(40)]


@pytest.fixture(scope="module")
def archive(make_archive: MakeArchive) -> Archive:
    return make_archive()


@pytest.fixture(scope="module")
def two(archive: Archive) -> Iterator[list[Service]]:
    with archive.services(2) as services:
        yield services


def race(services: list[Service], job_id: UUID, bodies: list[bytes]) -> list[httpx.Response]:
    """All at once, on one process and the other in turn."""
    with ThreadPoolExecutor(len(bodies)) as threads:
        futures = [threads.submit(services[n % 2].put, job_id, body) for n, body in enumerate(bodies)]
        return [future.result() for future in futures]


def test_identical_submissions_at_once_are_all_200_and_one_job(archive: Archive, two: list[Service]) -> None:
    job_id = uuid4()
    orders = [submission(OSV, unversioned(*REFERENCES[n:], *REFERENCES[:n])) for n in range(20)]
    answers = race(two, job_id, orders)
    assert [answer.status_code for answer in answers] == [200] * 20
    report = two[0].wait_completed(job_id)
    assert sorted(each["id"] for each in report["archiveDataReferences"]) == sorted(REFERENCES)
    assert archive.task_states(job_id) == {"succeeded": len(REFERENCES)}
    commands = [record for record in read_topic(archive.kafka, archive.commands) if job_id_of(record) == job_id]
    assert len(commands) == len(REFERENCES)


def test_of_different_submissions_at_once_one_wins_and_all_others_are_409(archive: Archive, two: list[Service]) -> None:
    job_id = uuid4()
    contents = [[f"{n}-{reference}" for reference in REFERENCES] for n in range(5)]
    answers = race(two, job_id, [submission(OSV, unversioned(*contents[n % 5])) for n in range(20)])
    statuses = Counter((n % 5, answer.status_code) for n, answer in enumerate(answers))
    (winner,) = [content for content, status in statuses if status == 200]
    assert statuses == {(content, 200 if content == winner else 409): 4 for content in range(5)}
    assert_all_succeeded(two[1].wait_completed(job_id), contents[winner])
    assert archive.task_states(job_id) == {"succeeded": len(REFERENCES)}


def job_id_of(record: Record) -> UUID:
    return UUID(record.json["payload"]["jobId"])
