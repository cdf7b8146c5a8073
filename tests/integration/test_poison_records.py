"""Records that can never be handled, between good commands: these are done, the bad ones are kept as dead letters."""

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

import fastavro
import pytest

from tests.integration.conftest import MakeArchive
from tests.servers.fetch import REPOSITORY
from tests.servers.source import Source
from tests.support.archive import Archive
from tests.support.archive_types import OSV, unversioned
from tests.support.effects import assert_all_succeeded
from tests.support.records import Headers, Record, committed, read_topic, write_topic
from tests.support.service import Service
from tests.unit.broker.golden import commands as java_commands

UNKNOWN_JOB = UUID("00000000-0000-4000-8000-000000000000")
AVRO_SCHEMA = json.loads((REPOSITORY / "contracts" / "messages" / "CreateArtifactCommand.avsc").read_text())


def command(job_id: UUID, reference: str, version: Any = None) -> dict[str, Any]:
    """As the Java service says it."""
    return {
        "identity": {"id": str(uuid4()), "idempotenceId": f"{job_id}-x", "created": 1795332517294},
        "type": {"name": "CreateArtifactCommand", "version": "1.0.1", "variant": None},
        "publisher": {"system": "PEER", "service": "peer-pas"},
        "references": {
            "archiveData": {"type": "archiveData", "referenceId": reference, "referenceVersion": version},
        },
        "payload": {"jobId": str(job_id), "messageName": OSV.name, "topicName": OSV.topic},
        "processId": str(job_id),
        "commandVersion": "1.3.0",
    }


def as_json(message: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps({**message, **changes}).encode()


def as_avro(message: dict[str, Any]) -> bytes:
    out = BytesIO(b"\0\0\0\0\7")
    out.seek(5)
    fastavro.schemaless_writer(out, fastavro.parse_schema(AVRO_SCHEMA), message)
    return out.getvalue()


UNKNOWN = command(UNKNOWN_JOB, "a")
POISON: dict[str, bytes | None] = {
    "garbage": b"garbage",
    "no bytes": b"",
    "tombstone": None,
    "a list": b"[1, 2]",
    "nested deep": b"[" * 20_000,
    "half of a document": as_json(UNKNOWN)[:-20],
    "utf-16": as_json(UNKNOWN).decode().encode("utf-16"),
    "latin-1": '{"type": {"name": "ä"}}'.encode("latin-1"),
    "half a character": as_json(command(UNKNOWN_JOB, "\ud800")),
    "unknown type": as_json(UNKNOWN, type={"name": "DeleteEverythingCommand", "version": "1.0.0"}),
    "no type": as_json(UNKNOWN, type=None),
    "unknown job": as_json(UNKNOWN),
    "job id is no UUID": as_json(UNKNOWN, payload={**UNKNOWN["payload"], "jobId": "4711"}),
    "job id is a number": as_json(UNKNOWN, payload={**UNKNOWN["payload"], "jobId": 4711}),
    "references are a list": as_json(UNKNOWN, references=[]),
    "version is a text": as_json(command(UNKNOWN_JOB, "a", "1")),
    "version out of range": as_json(command(UNKNOWN_JOB, "a", 2**31)),
    "too large": as_json(command(UNKNOWN_JOB, "a" * 500_000)),
    "framed, but no Avro": b"\0\0\0\0\1" + b"\xff" * 50,
    "Avro with a rest": as_avro(UNKNOWN) + b"\0",
    "Avro of an unknown job, as the Java service sent it": bytes.fromhex(java_commands()[0]["value_hex"]),
}


@pytest.fixture(scope="module")
def archive(make_archive: MakeArchive) -> Archive:
    return make_archive()


@pytest.fixture(scope="module")
def service(archive: Archive) -> Iterator[Service]:
    with archive.service() as started:
        yield started


def wait_all_committed(archive: Archive, service: Service) -> None:
    def all_committed() -> bool:
        offsets, ends = committed(archive.kafka, archive.commands, archive.group)
        return offsets == ends

    service.wait("every command is settled", all_committed)


def test_poison_becomes_dead_letters_and_all_good_commands_are_done(archive: Archive, service: Service) -> None:
    before, after = uuid4(), uuid4()
    references = [f"good-{number}" for number in range(40)]
    keys = [b"key", None, b"\xff\x00"]
    others: Headers = [("h", b"\xff"), ("traceparent", b"garbage"), ("null", None), ("empty", b"")]
    poison = [(keys[n % 3], value, [("h", what.encode()), *others]) for n, (what, value) in enumerate(POISON.items())]
    service.submit(before, unversioned(*references))
    for partition in range(4):
        write_topic(archive.kafka, archive.commands, poison, partition)
    service.submit(after, unversioned(*references))
    for job_id in (before, after):
        assert_all_succeeded(service.wait_completed(job_id), references)
    wait_all_committed(archive, service)

    sent = {(record.partition, record.offset): record for record in read_topic(archive.kafka, archive.commands)}
    bad = {place for place, record in sent.items() if record.headers[0][0] == "h"}
    assert len(bad) == 4 * len(POISON)
    found = read_topic(archive.kafka, archive.dead_letters)
    assert {place_of(letter) for letter in found} == bad
    for letter in found:
        original = sent[place_of(letter)]
        assert (letter.key, letter.value) == (original.key, original.value)
        assert letter.headers[: len(original.headers)] == original.headers
        assert letter.header("dlq-topic") == archive.commands
        assert letter.header("dlq-reason")
    reasons = {original_kind(letter): letter.header("dlq-reason") for letter in found}
    assert "tombstone" in reasons["tombstone"]
    assert reasons["unknown type"] == "unknown message type 'DeleteEverythingCommand'"
    assert (
        reasons["unknown job"]
        == reasons["Avro of an unknown job, as the Java service sent it"]
        == "no such job or task"
    )
    assert reasons["job id is a number"] == "payload.jobId is not a text"
    assert reasons["version is a text"] == "references.archiveData.referenceVersion is not an integer"


@pytest.mark.parametrize("encode", [as_json, as_avro])
def test_a_command_of_the_java_service_archives_an_open_reference(
    archive: Archive, service: Service, source: Source, encode: Any
) -> None:
    job_id = open_job(service, source, "java")
    record = (None, encode(command(job_id, "java")), [("b3", b"e59c7d1c2419e47e3a2d1be778091bfc-414572641db3a8c8-0")])
    write_topic(archive.kafka, archive.commands, [record], 2)
    assert_all_succeeded(service.wait_completed(job_id), ["java"])


def test_a_command_for_another_service_is_passed_over(archive: Archive, service: Service, source: Source) -> None:
    job_id = open_job(service, source, "theirs")
    asked = source.counts["theirs"]
    letters = len(read_topic(archive.kafka, archive.dead_letters))
    value = as_json(command(job_id, "theirs"))
    write_topic(
        archive.kafka, archive.commands, [(b"k", each, target("other-service")) for each in (value, b"garbage")], 0
    )
    wait_all_committed(archive, service)
    assert service.job(job_id)["counts"]["open"] == 1
    assert source.counts["theirs"] == asked
    assert len(read_topic(archive.kafka, archive.dead_letters)) == letters

    write_topic(archive.kafka, archive.commands, [(b"k", value, target(archive.group))], 0)
    assert_all_succeeded(service.wait_completed(job_id), ["theirs"])


def test_a_command_for_a_settled_reference_changes_nothing(archive: Archive, service: Service, source: Source) -> None:
    job_id = uuid4()
    service.submit(job_id, unversioned("done"))
    before = service.wait_completed(job_id)
    letters = len(read_topic(archive.kafka, archive.dead_letters))
    write_topic(archive.kafka, archive.commands, [(b"done", as_json(command(job_id, "done")), [])] * 3, 1)
    wait_all_committed(archive, service)
    assert service.report(job_id) == before
    assert source.counts["done"] == 1
    assert len(read_topic(archive.kafka, archive.dead_letters)) == letters


def open_job(service: Service, source: Source, reference: str) -> UUID:
    """A job whose one reference is open: its source had no data when it was asked; now it has."""
    job_id = uuid4()
    source.script(match=reference, times=1, status=204)
    service.submit(job_id, unversioned(reference))
    service.wait_counts(job_id, noDataYet=1)
    return job_id


def target(service: str) -> list[tuple[str, bytes]]:
    return [("jeap_eh_target_service", service.encode())]


def place_of(letter: Record) -> tuple[int, int]:
    return int(letter.header("dlq-partition")), int(letter.header("dlq-offset"))


def original_kind(letter: Record) -> str:
    return next(value.decode() for name, value in letter.headers if name == "h" and value is not None)
