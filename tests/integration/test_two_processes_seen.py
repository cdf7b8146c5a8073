"""Two processes as `GET /api/system` of either shows them: both are listed, and dead letters of both are counted."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.db import migrations
from tests.integration.conftest import MakeArchive
from tests.support.archive import Archive
from tests.support.records import write_topic
from tests.support.service import Service


@pytest.fixture(scope="module")
def archive(make_archive: MakeArchive) -> Archive:
    return make_archive()


@pytest.fixture(scope="module")
def two(archive: Archive) -> Iterator[list[Service]]:
    with archive.services(2) as services:
        yield services


def system(service: Service) -> dict[str, Any]:
    answer = service.api("GET", "/api/system")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def ids(service: Service) -> set[str]:
    return {each["id"] for each in system(service)["processes"]}


def test_each_shows_both_until_one_stops(archive: Archive, two: list[Service]) -> None:
    first, second = two
    for each in two:
        each.wait("both are seen", lambda each=each: len(ids(each)) == 2)  # type: ignore[misc]
    assert ids(first) == ids(second)
    for partition in range(4):
        write_topic(archive.kafka, archive.commands, [(b"k", b"garbage", [])] * 3, partition)
    for each in two:
        each.wait("all are counted", lambda each=each: system(each)["deadLetters"]["count"] == 12)  # type: ignore[misc]
    state = system(first)
    assert all(each["well"] for each in state["components"])
    assert state["work"] == {"inFlight": 0, "inHand": 0, "due": 0, "waitingJobs": 0}
    assert state["database"]["version"] == migrations.head()
    assert state["database"]["size"] > 1_000_000
    assert state["deadLetters"]["lastAt"]
    second.terminate()
    assert second.exit_code() == 0
    assert len(ids(first)) == 1, "it removed its row"
