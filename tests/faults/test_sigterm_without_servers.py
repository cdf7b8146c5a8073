"""SIGTERM under load: unready at once, exit 0 in time, also when what the work needs is away at that very moment."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import pytest

from tests.faults.making import MakeArchive, references
from tests.faults.test_outages import Servers
from tests.servers import Kafka, Oidc, Postgres, SeaweedFS
from tests.servers.source import Source
from tests.support.archive import Archive
from tests.support.archive_types import unversioned
from tests.support.effects import assert_all_succeeded, assert_one_effect_each
from tests.support.service import Service

SHUTDOWN = 6
"""Seconds of shutdown-timeout."""

CLOSING = 4
"""Seconds for a busy machine, and for the end of the interpreter."""

NAMES = references(150)


@pytest.fixture(scope="module")
def servers(oidc: Oidc) -> Iterator[Servers]:
    made = Servers(Kafka(), Postgres(), SeaweedFS(), oidc, oidc)
    own = [made.kafka, made.postgres, made.s3]
    try:
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda server: server.start(), own))
        yield made
    finally:
        for server in own:
            server.close()


@pytest.fixture
def archive(make_archive: MakeArchive, servers: Servers, source: Source) -> Archive:
    made = make_archive(kafka=servers.kafka, postgres=servers.postgres, s3=servers.s3)
    made.configure({"jeap.processarchive.shutdown-timeout": f"{SHUTDOWN}s"})
    source.clear()
    source.script(delay_ms=100)
    return made


def is_unready_or_gone(service: Service) -> bool:
    """Where nothing is away the process may have ended before it can be asked."""
    try:
        status, body = service.ready()
    except httpx.TransportError:
        return True
    return status == 503 and body["status"] == "stopping"


@pytest.mark.parametrize("away", ["kafka", "postgres", "s3", "nothing"])
def test_a_stop_ends_in_time_whatever_is_away_and_the_next_process_goes_on(
    archive: Archive, servers: Servers, source: Source, away: str
) -> None:
    server, job_id = getattr(servers, away, None), uuid4()
    with archive.service(forked=away != "nothing") as service:
        service.submit(job_id, unversioned(*NAMES))
        service.wait_done(job_id, 40)
        try:
            if server is not None:
                server.kill()
                time.sleep(1.5)
            begin = time.monotonic()
            service.terminate()
            service.wait("unready", lambda: is_unready_or_gone(service), 2)
            assert service.exit_code(60) == 0
            took = time.monotonic() - begin
            print(f"without {away}: {took:.1f} s")  # noqa: T201
            assert took < SHUTDOWN + CLOSING
            errors = [line for line in service.logged() if line["level"] == "ERROR" and line["logger"][:4] == "app."]
            assert errors == []
        finally:
            if server is not None:
                server.start()
        source.clear()
        service.start()
        assert_all_succeeded(service.wait_completed(job_id, 120), NAMES)
    assert_one_effect_each(archive, job_id, NAMES)
