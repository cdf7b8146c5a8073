"""Messages as framed Avro on a real Kafka with a real schema registry: both encodings, outages, unknown ids, logins."""

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any
from uuid import uuid4

import fastavro
import pytest

from tests.integration.conftest import MakeArchive
from tests.integration.test_poison_records import as_json, command, open_job, wait_all_committed
from tests.servers import Registry
from tests.servers.registry_proxy import RegistryProxy
from tests.servers.source import Source
from tests.support.archive import Archive
from tests.support.archive_types import unversioned
from tests.support.effects import assert_all_succeeded
from tests.support.records import Record, read_topic, write_topic
from tests.support.service import Service, pas
from tests.unit.broker.golden import schemas_registered

pytestmark = pytest.mark.timeout(400)

KAFKA = "jeap.messaging.kafka."
COMMAND = "ch.admin.bit.jeap.processarchive.command.CreateArtifactCommand"
EVENT = (
    "ch.admin.bit.jeap.event.shared.processarchive.archivedartifactversioncreated."
    "SharedArchivedArtifactVersionCreatedEvent"
)
JOB_EVENT = "ch.admin.bit.jeap.processarchive.event.BackfillJobStateChangedEvent"
KEY = "ch.admin.bit.jeap.messagetype.shared.processid.ProcessIdMessageKey"
USER, PASSWORD = "pas", "secret:pässword"


class Written:
    """What anybody reads of a framed record with the registry at hand."""

    def __init__(self, registry: Registry, framed: bytes | None) -> None:
        assert framed is not None
        assert framed[:1] == b"\0"
        self.schema_id = int.from_bytes(framed[1:5], "big")
        self.schema = json.loads(registry.request("GET", f"/schemas/ids/{self.schema_id}")["schema"])
        body = BytesIO(framed[5:])
        self.value: Any = fastavro.schemaless_reader(body, fastavro.parse_schema(self.schema), None)
        assert body.read() == b""

    @property
    def name(self) -> str:
        return f"{self.schema['namespace']}.{self.schema['name']}"


def framed(schema_id: int, schema: Any, message: Any) -> bytes:
    out = BytesIO()
    out.write(b"\0" + schema_id.to_bytes(4, "big"))
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), message)
    return out.getvalue()


@pytest.fixture(scope="module")
def proxy(registry: Registry) -> Iterator[RegistryProxy]:
    with RegistryProxy(registry.url, USER, PASSWORD) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def archive(make_archive: MakeArchive, registry: Registry, proxy: RegistryProxy) -> Archive:
    """Its command topic was used by the Java service before; the registry wants a login; jobs tell of themselves."""
    archive = make_archive()
    archive.kafka.create_topic(f"{archive.events}-jobs")
    archive.configure(
        {
            "jeap.processarchive.backfill.event-topic": f"{archive.events}-jobs",
            f"{KAFKA}encoding": "avro",
            f"{KAFKA}schema-registry-url": proxy.url,
            f"{KAFKA}schema-registry-username": USER,
            f"{KAFKA}schema-registry-password": PASSWORD,
        }
    )
    registry.register(f"{archive.commands}-{COMMAND}", schemas_registered()[1])
    return archive


@pytest.fixture(scope="module")
def service(archive: Archive) -> Iterator[Service]:
    with archive.service() as started:
        yield started


def test_a_job_is_archived_with_commands_and_events_in_avro_and_ids_are_those_of_the_java_service(
    archive: Archive, service: Service, registry: Registry, proxy: RegistryProxy
) -> None:
    job_id, references = uuid4(), [f"avro-{number}" for number in range(20)] + ["ä/ö ?&=+%", "😀"]
    service.submit(job_id, unversioned(*references))
    assert_all_succeeded(service.wait_completed(job_id), references)
    subjects = {
        f"{archive.commands}-{COMMAND}",
        f"{archive.events}-{EVENT}",
        f"{archive.events}-{KEY}",
        f"{archive.events}-jobs-{JOB_EVENT}",
    }
    assert subjects == {each for each in registry.subjects() if each.startswith((archive.commands, archive.events))}
    for subject in subjects - {f"{archive.commands}-{COMMAND}"}:
        assert registry.request("GET", f"/config/{subject}?defaultToGlobal=true") == {"compatibilityLevel": "NONE"}

    java = registry.register(f"{archive.commands}-{COMMAND}", schemas_registered()[1])
    commands = read_topic(archive.kafka, archive.commands)
    assert {record.key for record in commands} == {reference.encode() for reference in references}
    for record in commands:
        read = Written(registry, record.value)
        assert (read.name, read.schema_id) == (COMMAND, java)
        assert read.value["references"]["archiveData"]["referenceId"].encode() == record.key
    events = [
        (Written(registry, record.key), Written(registry, record.value))
        for record in read_topic(archive.kafka, archive.events)
    ]
    assert {(key.name, value.name) for key, value in events} == {(KEY, EVENT)}
    assert all(key.value == {"processId": str(job_id)} for key, _ in events)
    assert {value.value["references"]["archivedArtifact"]["referenceId"] for _, value in events} == set(references)
    assert {json.dumps(value.schema) for _, value in events} == {json.dumps(schemas_registered()[3])}
    service.wait("the job tells", lambda: len(read_topic(archive.kafka, f"{archive.events}-jobs")) == 2)
    told = read_topic(archive.kafka, f"{archive.events}-jobs")
    assert [Written(registry, record.value).value["payload"]["change"] for record in told] == ["submitted", "completed"]
    assert {record.key for record in told} == {str(job_id).encode()}
    assert proxy.passed > 3
    assert proxy.refused == 0
    assert "ssword" not in service.log.read_text()


def test_both_encodings_and_the_schemas_of_others_are_read_from_one_topic(
    archive: Archive, service: Service, registry: Registry, source: Source
) -> None:
    jobs = {name: open_job(service, source, name) for name in ("as-json", "as-ours", "as-theirs")}
    ours = schemas_registered()[1]
    identity = ours["fields"][0]["type"]
    theirs = {**ours, "fields": [{"name": "user", "type": ["null", "string"], "default": None}, *ours["fields"]]}
    referring = json.loads(json.dumps(theirs))
    referring["fields"][1]["type"] = f"{identity['namespace']}.{identity['name']}"
    registry.register("identity", identity)
    needs = [{"name": f"{identity['namespace']}.{identity['name']}", "subject": "identity", "version": 1}]
    known = registry.register(f"{archive.commands}-{COMMAND}", ours)
    other = registry.register("others", referring, needs)
    values = [
        as_json(command(jobs["as-json"], "as-json")),
        framed(known, ours, command(jobs["as-ours"], "as-ours")),
        framed(other, theirs, {"user": "Dora", **command(jobs["as-theirs"], "as-theirs")}),
    ]
    write_topic(archive.kafka, archive.commands, [(None, value, []) for value in values], 3)
    for name, job_id in jobs.items():
        assert_all_succeeded(service.wait_completed(job_id), [name])


def test_an_id_that_the_registry_does_not_know_and_what_is_no_command_are_dead_letters_as_they_were(
    archive: Archive, service: Service, registry: Registry
) -> None:
    message = command(uuid4(), "a")
    key_id = registry.register(f"{archive.events}-{KEY}", schemas_registered()[2])
    known = registry.register(f"{archive.commands}-{COMMAND}", schemas_registered()[1])
    whole = framed(known, schemas_registered()[1], message)
    expected = {
        framed(4_000_000_000, schemas_registered()[1], message): "knows no schema 4000000000",
        framed(key_id, schemas_registered()[2], {"processId": "x"}): "type is missing",
        whole[:-3]: f"framed Avro, but not a {COMMAND}",
        whole + b"xx": "2 bytes behind",
        b"\0\0\0": "without the id of a schema",
    }
    before = len(read_topic(archive.kafka, archive.dead_letters))
    write_topic(archive.kafka, archive.commands, [(b"k", value, [("h", b"x")]) for value in expected], 2)
    wait_all_committed(archive, service)
    letters: list[Record] = read_topic(archive.kafka, archive.dead_letters)[before:]
    assert {letter.value for letter in letters} == set(expected)
    for letter in letters:
        assert letter.key == b"k"
        assert expected[letter.value or b""] in letter.header("dlq-reason")


def test_without_the_registry_what_is_known_goes_on_and_what_is_not_waits_and_is_not_lost(
    archive: Archive, service: Service, registry: Registry, source: Source
) -> None:
    waiting, job_id = open_job(service, source, "waits"), uuid4()
    ours = schemas_registered()[1]
    newer = {**ours, "fields": [*ours["fields"], {"name": "since", "type": "string", "default": ""}]}
    new_id = registry.register("newer", newer)
    registry.stop()
    try:
        service.wait("the registry is named", lambda: service.problem("schema-registry") != "")
        assert service.ready()[0] == 200
        value = framed(new_id, newer, {**command(waiting, "waits"), "since": "today"})
        for partition in range(4):
            write_topic(archive.kafka, archive.commands, [(None, value, [])], partition)
        references = [f"meanwhile-{number}" for number in range(20)]
        service.submit(job_id, unversioned(*references))
        assert_all_succeeded(service.wait_completed(job_id), references)
        assert service.job(waiting)["counts"]["open"] == 1
    finally:
        registry.start()
    assert_all_succeeded(service.wait_completed(waiting), ["waits"])
    wait_all_committed(archive, service)
    service.wait("the registry is seen again", lambda: service.problem("schema-registry") == "")


def test_a_registry_that_is_away_at_the_start_is_waited_for(make_archive: MakeArchive, registry: Registry) -> None:
    archive, job_id = make_archive(), uuid4()
    archive.configure({f"{KAFKA}encoding": "avro", f"{KAFKA}schema-registry-url": registry.url})
    registry.stop()
    service = archive.service()
    try:
        service.start()
        service.wait("named with its reason", lambda: registry.url in service.problem("schema-registry"))
        service.submit(job_id, unversioned("a", "b"))
        service.wait("work waits", lambda: any("work waits" in each["message"] for each in service.logged()))
        assert read_topic(archive.kafka, archive.commands) == []
        service.wait("the job says so", lambda: (service.job(job_id)["waiting"] or {}).get("for") == "schema-registry")
        registry.start()
        assert_all_succeeded(service.wait_completed(job_id), ["a", "b"])
        assert service.job(job_id)["waiting"] is None
        service.wait("well", lambda: service.ready() == (200, {"status": "ready", "problems": {}}))
    finally:
        registry.start()
        service.close()


def test_without_permission_to_register_missing_schemas_are_named_until_somebody_registers_them(
    make_archive: MakeArchive, registry: Registry
) -> None:
    archive, job_id = make_archive(), uuid4()
    settings = {f"{KAFKA}encoding": "avro", f"{KAFKA}schema-registry-url": registry.url}
    archive.configure({**settings, f"{KAFKA}auto-register-schema": False})
    subject = f"{archive.commands}-{COMMAND}"
    with archive.service() as service:
        service.wait(
            "named", lambda: f"subject {subject} does not have our schema" in service.problem("schema-registry")
        )
        done = pas("check-config", "--connect", "--config", str(archive.config))
        [line] = done.stderr.splitlines()
        assert line.startswith(f"pas: schema registry {registry.url}: subject {subject}")
        service.submit(job_id, unversioned("a"))
        schemas = schemas_registered()
        registry.register(subject, schemas[1])
        registry.register(f"{archive.events}-{KEY}", schemas[2])
        service.wait("the command", lambda: len(read_topic(archive.kafka, archive.commands)) == 1)
        service.wait("event named", lambda: f"subject {archive.events}-{EVENT}" in service.problem("schema-registry"))
        assert service.job(job_id)["counts"]["open"] == 1
        registry.register(f"{archive.events}-{EVENT}", schemas[3])
        assert_all_succeeded(service.wait_completed(job_id), ["a"])
        service.wait("well", lambda: service.ready() == (200, {"status": "ready", "problems": {}}))
    done = pas("check-config", "--connect", "--config", str(archive.config))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"schema registry {registry.url}: well" in done.stdout


def test_wrong_credentials_are_named(make_archive: MakeArchive, proxy: RegistryProxy) -> None:
    archive = make_archive()
    registry = {"url": proxy.url, "username": USER, "password": "wrong-secret"}
    archive.configure({f"{KAFKA}schema-registry-{name}": value for name, value in registry.items()})
    done = pas("check-config", "--connect", "--config", str(archive.config))
    wrong = [line for line in done.stderr.splitlines() if "schema registry" in line]
    assert len(wrong) == 1
    assert "HTTP 401: it refuses our credentials" in wrong[0]
    assert "wrong-secret" not in done.stdout + done.stderr
