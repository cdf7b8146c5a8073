"""Credentials that a server does not know any more: work waits, the reason is named, and goes on when mended."""

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest
from typing_extensions import override

from tests.conftest import running
from tests.faults.making import MakeArchive, references
from tests.integration.test_kafka_security import LOGIN, SecuredKafka
from tests.servers import SeaweedFS
from tests.support.archive_types import unversioned
from tests.support.effects import assert_all_succeeded

NAMES = references(100)


class ChangingS3(SeaweedFS):
    """Its identities are read again at each start."""

    known = True

    @override
    def command(self) -> list[str]:
        assert self.data is not None
        identities = self._identities()
        if not self.known:
            identities["identities"] = [each for each in identities["identities"] if each["name"] != "admin"]
        (self.data / "s3.json").write_text(json.dumps(identities))
        return super().command()

    @override
    def check(self) -> None:
        if self.known:
            super().check()


@pytest.fixture(scope="module")
def changing() -> Iterator[ChangingS3]:
    with running(ChangingS3()) as server:
        yield server


def test_an_access_key_that_is_withdrawn_makes_work_wait_until_it_is_known_again(
    make_archive: MakeArchive, changing: ChangingS3
) -> None:
    archive, job_id = make_archive(s3=changing), uuid4()
    with archive.service() as service:
        changing.kill()
        changing.known = False
        changing.start()
        try:
            service.submit(job_id, unversioned(*NAMES))
            service.wait("named", lambda: "access-key" in service.problem("objectstore"))
            assert service.ready()[0] == 200
            assert service.job(job_id)["counts"] | {"open": 100, "failed": 0} == service.job(job_id)["counts"]
        finally:
            changing.kill()
            changing.known = True
            changing.start()
        assert_all_succeeded(service.wait_completed(job_id), NAMES)
        service.wait("forgotten", lambda: service.ready() == (200, {"status": "ready", "problems": {}}), 90)


def test_an_access_key_that_may_not_lock_objects_is_named(make_archive: MakeArchive, s3: SeaweedFS) -> None:
    archive, job_id = make_archive(), uuid4()
    connection = "jeap.processarchive.objectstorage.connection"
    archive.configure(
        {f"{connection}.access-key": s3.readwrite_access_key, f"{connection}.secret-key": s3.readwrite_secret_key}
    )
    service = archive.service()
    try:
        service.start_listening()
        service.wait("named", lambda: "AccessDenied" in service.problem("objectstore"))
        service.wait("the database is there", lambda: not service.problem("database"))
        service.submit(job_id, unversioned("a"))
        assert service.job(job_id)["counts"]["open"] == 1
    finally:
        service.close()


def test_a_password_that_kafka_does_not_know_is_named_until_it_does(make_archive: MakeArchive) -> None:
    with running(SecuredKafka()) as kafka:
        archive, job_id = make_archive(kafka=kafka), uuid4()
        archive.configure(
            {
                "jeap.messaging.kafka.bootstrap-servers": f"127.0.0.1:{kafka.port + 2}",
                "jeap.messaging.kafka.security-protocol": "SASL_PLAINTEXT",
                "jeap.messaging.kafka.sasl-mechanism": "PLAIN",
                "jeap.messaging.kafka.username": "pas",
                "jeap.messaging.kafka.password": "new-password",
            }
        )
        service = archive.service()
        try:
            service.start_listening()
            service.wait("named", lambda: "Authentication failed" in service.problem("broker"))
            assert "new-password" not in json.dumps(service.ready()[1])
            service.wait("the database is there", lambda: not service.problem("database"))
            service.submit(job_id, unversioned(*NAMES))
            assert service.job(job_id)["counts"]["open"] == len(NAMES)
            kafka.kill()
            assert kafka.data is not None
            properties = kafka.data / "server.properties"
            told = properties.read_text()
            properties.write_text(told.replace(LOGIN, LOGIN.replace("geheim", "new-password")))
            kafka.start()
            assert_all_succeeded(service.wait_completed(job_id), NAMES)
        finally:
            service.close()
