"""Each server is away for a while in the middle of a job: no task fails, the service stays and says what is missing."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest

from tests.conftest import running
from tests.faults.conftest import Scale
from tests.faults.making import MakeArchive, references
from tests.faults.test_live import assert_one_effect_of_each_message, live_archive, send_all, settled, wait_done
from tests.servers import Client, Kafka, Oidc, Postgres, Registry, SeaweedFS
from tests.servers.client import CLIENT
from tests.servers.process import ServerProcess
from tests.servers.source import Source
from tests.support.archive import SOURCE_AUDIENCE, Archive
from tests.support.archive_types import OAUTH_CLIENT, OSV, submission, unversioned
from tests.support.effects import assert_all_succeeded, assert_one_effect_each
from tests.support.live_archive import SCHEMA
from tests.support.service import Service

"""Tasks that an outage on the side of the source may cost."""

LIVE_MESSAGES = 30
"""That come in each outage."""

AT_ONCE = {"jeap.processarchive.backfill.concurrency": 8, "jeap.processarchive.backfill.retry-backoff": "500ms"}


@dataclass
class Servers:
    kafka: Kafka
    postgres: Postgres
    s3: SeaweedFS
    issuer: Oidc
    tokens: Oidc
    """Issues short-lived tokens for the source, nothing else."""

    def all(self) -> list[ServerProcess]:
        return [self.kafka, self.postgres, self.s3, self.issuer, self.tokens]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    """Of our own, as they are killed."""
    short = Client(client_id=OAUTH_CLIENT, audience=SOURCE_AUDIENCE, scope="documents:read", ttl=5)
    made = Servers(Kafka(), Postgres(), SeaweedFS(), Oidc(), Oidc([short]))
    with ExitStack() as stack:
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda server: server.start(), made.all()))
        for server in made.all():
            stack.enter_context(running(server))
        yield made


@pytest.fixture
def archive(make_archive: MakeArchive, servers: Servers) -> Iterator[Archive]:
    """With a source that is slow enough for an outage to come in the middle of the job."""
    with Source(delay_ms=40) as source:  # it does not check tokens: the key changes with each start of their server
        made = make_archive(
            kafka=servers.kafka, postgres=servers.postgres, s3=servers.s3, oidc=servers.issuer, source=source
        )
        made.configure({**AT_ONCE, f"jeap.security.oauth2.client.{OAUTH_CLIENT}.token-uri": servers.tokens.token_uri})
        yield made


def names_of(scale: Scale) -> list[str]:
    return references(scale.references)


def away(service: Service, server: ServerProcess, seconds: float, meanwhile: Callable[[], None] = lambda: None) -> None:
    """The server is killed, and comes back on its data after so long."""
    server.kill()
    begin = time.monotonic()
    try:
        meanwhile()
        time.sleep(max(0.0, seconds - (time.monotonic() - begin)))
        assert service.running
    finally:
        server.start()


def in_the_middle(service: Service, job_id: UUID, names: list[str]) -> None:
    service.submit(job_id, unversioned(*names))
    service.wait_done(job_id, len(names) // 5)


def named_at_200(service: Service, component: str) -> None:
    service.wait(f"{component} is named", lambda: bool(service.problem(component)))
    assert service.ready()[0] == 200


def forgotten(service: Service) -> None:
    """The watch overrules what work said a minute ago, should no work have told better."""
    service.wait("nothing is named any more", lambda: service.ready() == (200, {"status": "ready", "problems": {}}), 90)


def test_without_kafka_work_waits_and_submissions_are_accepted(
    archive: Archive, servers: Servers, scale: Scale
) -> None:
    job_id, later, names = uuid4(), uuid4(), names_of(scale)
    with archive.service() as service:
        in_the_middle(service, job_id, names)

        def meanwhile() -> None:
            named_at_200(service, "broker")
            service.submit(later, unversioned(*names))

        away(service, servers.kafka, scale.outage, meanwhile)
        assert_all_succeeded(service.wait_completed(job_id, 300), names)
        assert_all_succeeded(service.wait_completed(later, 300), names)
        forgotten(service)


def test_without_the_database_work_waits_and_the_service_is_not_ready(
    archive: Archive, servers: Servers, scale: Scale
) -> None:
    job_id, names = uuid4(), names_of(scale)
    with archive.service() as service:
        in_the_middle(service, job_id, names)

        def meanwhile() -> None:
            service.wait("not ready", lambda: service.ready()[0] == 503)
            assert service.problem("database")
            refused = service.put(uuid4(), submission(OSV, unversioned("a")))
            assert refused.status_code == 503
            assert refused.headers["Content-Type"] == "application/problem+json"
            assert CLIENT.get(f"{service.url}/health/live", timeout=5).status_code == 200

        away(service, servers.postgres, scale.outage, meanwhile)
        service.wait("ready", lambda: service.ready()[0] == 200)
        assert_all_succeeded(service.wait_completed(job_id, 300), names)
        forgotten(service)
    assert_one_effect_each(archive, job_id, names)


def test_without_the_object_store_work_waits(archive: Archive, servers: Servers, scale: Scale) -> None:
    job_id, names = uuid4(), names_of(scale)
    with archive.service() as service:
        in_the_middle(service, job_id, names)
        away(service, servers.s3, scale.outage, lambda: named_at_200(service, "objectstore"))
        assert_all_succeeded(service.wait_completed(job_id, 300), names)
        forgotten(service)
    assert_one_effect_each(archive, job_id, names)


def test_without_the_issuer_known_keys_go_on_and_work_is_not_touched(
    archive: Archive, servers: Servers, scale: Scale
) -> None:
    job_id, names = uuid4(), names_of(scale)
    stranger = servers.tokens.token(OAUTH_CLIENT)
    with archive.service() as service:
        in_the_middle(service, job_id, names)

        def meanwhile() -> None:
            assert service.api("GET", f"/api/jobs/{job_id}", token=stranger).status_code == 401
            assert service.api("GET", f"/api/jobs/{job_id}").status_code == 200

        token = archive.token
        away(service, servers.issuer, scale.outage, meanwhile)
        assert_all_succeeded(service.wait_completed(job_id, 300), names)
        archive.token = servers.issuer.token("pas-admin")
        assert archive.token != token
        service.wait("new keys are fetched", lambda: service.api("GET", f"/api/jobs/{job_id}").status_code == 200)
        forgotten(service)
    assert_one_effect_each(archive, job_id, names)


def test_without_the_token_endpoint_of_the_source_no_task_fails(
    archive: Archive, servers: Servers, scale: Scale
) -> None:
    job_id, names = uuid4(), names_of(scale)
    with archive.service() as service:
        in_the_middle(service, job_id, names)
        away(service, servers.tokens, scale.outage)
        assert_all_succeeded(service.wait_completed(job_id, 300), names)
        assert service.ready() == (200, {"status": "ready", "problems": {}})


def test_live_messages_wait_for_each_server_and_none_is_missed(
    make_archive: MakeArchive, servers: Servers, registry: Registry, scale: Scale
) -> None:
    """A third of the messages of each outage is Avro, with a schema that the process did not see before."""
    with Source(delay_ms=5) as source:
        known = {"kafka": servers.kafka, "postgres": servers.postgres, "s3": servers.s3, "oidc": servers.issuer}
        settings = {"jeap.messaging.kafka.schema-registry-url": registry.url}
        archive, topic = live_archive(make_archive, settings, source=source, **known)
        with archive.service() as service:
            send_all(archive, topic, range(LIVE_MESSAGES))
            for number, server in enumerate([servers.kafka, servers.postgres, servers.s3, registry, source], start=1):
                schema_id = registry.register(f"{topic}-{number}", {**SCHEMA, "doc": f"of outage {number}"})
                numbers = range(number * LIVE_MESSAGES, (number + 1) * LIVE_MESSAGES)
                if server is servers.kafka:
                    send_all(archive, topic, numbers, schema_id)
                server.stop() if server is registry else server.kill()  # what the registry holds survives a stop only
                try:
                    if server is not servers.kafka:
                        send_all(archive, topic, numbers, schema_id)
                    time.sleep(scale.live_outage)
                    assert service.running
                finally:
                    server.start()
            wait_done(archive, service, 6 * LIVE_MESSAGES)
            settled(archive, service, topic)
            forgotten(service)
        assert_one_effect_of_each_message(archive, range(6 * LIVE_MESSAGES))
