"""More clients than the service has room for: they are told to come again, and nothing else is held up."""

import asyncio
import resource
import socket
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from tests.servers.client import CLIENT
from tests.servers.source import Source
from tests.support.archive_types import OSV, YAML_TYPE, submission, unversioned
from tests.support.effects import assert_all_succeeded
from tests.support.embedded import Embedded
from tests.support.service import Service

REFERENCES = [f"ref-{number}" for number in range(300)]
LARGE = submission(OSV, unversioned(*(f"no-data-{number}" for number in range(10_000))))
"""300 KB, read in a process of its own."""


@pytest.fixture(scope="module")
def source() -> Iterator[Source]:
    with Source(delay_ms=20) as started:
        started.script(match="no-data-*", status=204)
        yield started


@pytest.fixture
def service(tmp_path_factory: pytest.TempPathFactory, source: Source) -> Iterator[Service]:
    with Embedded(tmp_path_factory.mktemp("flood"), source).service() as started:
        yield started
        started.kill()  # it has much to do by then


async def flood(service: Service, number: int) -> list[httpx.Response]:
    """So many large submissions at once."""
    headers = {**YAML_TYPE, "Authorization": f"Bearer {service.token()}"}
    limits = httpx.Limits(max_connections=number)
    async with httpx.AsyncClient(base_url=service.url, headers=headers, limits=limits, timeout=60) as client:
        return await asyncio.gather(
            *(client.put(f"/api/jobs/{uuid4()}", content=LARGE) for _ in range(number))  # each its own connection
        )


def test_a_flood_of_submissions_is_told_to_come_again_and_a_running_job_goes_on(service: Service) -> None:
    job_id = uuid4()
    service.submit(job_id, unversioned(*REFERENCES))
    answers = asyncio.run(flood(service, 150))
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) == {200, 503}
    assert statuses[200] >= 8
    for answer in answers:
        if answer.status_code == 503:
            assert answer.headers["Retry-After"] == "5"
            assert answer.headers["Content-Type"] == "application/problem+json"
    assert_all_succeeded(service.wait_completed(job_id), REFERENCES)
    assert service.ready()[0] == 200
    service.submit(uuid4(), unversioned("one"))


def test_who_only_connects_takes_the_place_of_nobody(service: Service) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2_000:
        pytest.skip("too few open files are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2_000), hard))
    address = urlsplit(service.url)
    silent: list[socket.socket] = []
    try:
        silent.extend(socket.create_connection((address.hostname, address.port), timeout=10) for _ in range(1_300))
        assert CLIENT.get(f"{service.url}/health/live").status_code == 200
        service.submit(uuid4(), unversioned("two"))
        text = CLIENT.get(f"{service.url}/metrics").text
        assert 'pas_http_connections_closed_total{reason="too many"}' in text
        assert silent[0].recv(1) == b""  # the first ones were closed
    finally:
        for connection in silent:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
