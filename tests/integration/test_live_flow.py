"""The live flow the whole way on real servers: messages in JSON and Avro on one topic, to objects, events, reports."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import avro.schema
import pytest

from tests.integration.conftest import MakeArchive
from tests.servers import Oidc, Registry
from tests.servers.source import Source
from tests.support.archive import Archive
from tests.support.archive_types import OSV, unversioned
from tests.support.effects import assert_all_succeeded
from tests.support.live_archive import (
    DECREE_ISSUED,
    SCHEMA,
    ReaderByApache,
    advisory,
    advisory_type,
    artifact_id,
    datum,
    decree_issued,
    decree_types,
    envelope,
    framed,
    live_jobs,
    send,
    wait_live,
    write_types,
)
from tests.support.objects import Stored, read_version, versions_in
from tests.support.records import committed, read_topic
from tests.support.service import Service, pas

pytestmark = pytest.mark.timeout(400)

DECREES, SUMMARIES, NOTICES = (f"{DECREE_ISSUED}/{name}" for name in ("decree", "summary", "notice"))
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = [("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01".encode())]
PARTITIONS = 3
EVENT = ("ProcessIdMessageKey", "SharedArchivedArtifactVersionCreatedEvent")
KEYS = "SELECT object_key FROM artifact WHERE reference_id = $1 AND reference_version IS NULL"


@pytest.fixture(scope="module")
def topic(archive: Archive) -> str:
    return f"{archive.bucket}-live"


@pytest.fixture(scope="module")
def archive(make_archive: MakeArchive, registry: Registry, source: Source) -> Archive:
    """What it publishes is Avro; its live dead letters have a topic of their own."""
    archive = make_archive()
    topic = f"{archive.bucket}-live"
    archive.kafka.create_topic(topic, PARTITIONS)
    archive.kafka.create_topic(f"{topic}-dlq")
    archive.configure(
        {
            "jeap.messaging.kafka.encoding": "avro",
            "jeap.messaging.kafka.schema-registry-url": registry.url,
            "jeap.processarchive.live.start": "earliest",
            "jeap.processarchive.live.dead-letter-topic": f"{topic}-dlq",
        }
    )
    write_types(archive, [advisory_type(topic, source), *decree_types(topic)])
    return archive


@pytest.fixture(scope="module")
def service(archive: Archive) -> Iterator[Service]:
    with archive.service() as started:
        yield started


@pytest.fixture(scope="module")
def schema_id(registry: Registry, topic: str) -> int:
    return registry.register(f"{topic}-{SCHEMA['namespace']}.{SCHEMA['name']}", SCHEMA)


def settled(archive: Archive, service: Service, topic: str) -> None:
    """Waits until every record of the topic was taken or put away."""

    def all_committed() -> bool:
        offsets, ends = committed(archive.kafka, topic, f"{archive.group}-live")
        return offsets == ends

    service.wait("all live messages are committed", all_committed)


def stored(archive: Archive, reference: str) -> list[Stored]:
    """The versions of a reference without version, the oldest first, as another client reads them."""
    [key] = {each["object_key"] for each in archive.query(KEYS, reference)}
    versions = [each for each in versions_in(archive.s3, archive.bucket, key) if each.key == key]
    return [read_version(archive.s3, archive.bucket, key, each.version_id) for each in reversed(versions)]


def events(archive: Archive, registry: Registry) -> dict[str, Any]:
    """The events by their idempotence id, read with Apache's library: value, and trace of the header."""
    found, reader = {}, ReaderByApache(registry)
    for record in read_topic(archive.kafka, archive.events):
        (key_name, key), (name, value) = reader.read(record.key), reader.read(record.value)
        assert (key_name.split(".")[-1], name.split(".")[-1]) == EVENT
        assert key == {"processId": value["processId"]}
        found[value["identity"]["idempotenceId"]] = (value, record.header("traceparent").split("-")[1])
    return found


def test_messages_of_both_encodings_become_the_artifacts_that_their_configurations_say(
    archive: Archive, service: Service, registry: Registry, source: Source, topic: str, schema_id: int
) -> None:
    first = decree_issued("m-1", "D-1", 1, text="from JSON", notice="heard")
    second = decree_issued("m-2 😀", "D-1", 2, text="from Avro")
    draft = decree_issued("m-3", "D-2", 1, status="DRAFT")
    values = [json.dumps(first).encode(), framed(schema_id, second), framed(schema_id, draft)]
    send(archive, topic, 0, *values, headers=TRACEPARENT)
    send(archive, topic, 1, advisory("a-1", "A-1"), advisory("a-1", "A-1"), advisory("a-1", "A-1 ä"))
    wait_live(service, DECREES, succeeded=3, total=3)
    wait_live(service, NOTICES, succeeded=1, total=1)
    wait_live(service, OSV.name, succeeded=2, total=2)
    summaries = wait_live(service, SUMMARIES, succeeded=2, total=2)

    told = events(archive, registry)
    decrees = {
        artifact_id(DECREE_ISSUED, "m-1", "DEMO", "DecreeDocument", "D-1", 1): ("process of m-1", "1"),
        artifact_id(DECREE_ISSUED, "m-2 😀", "DEMO", "DecreeDocument", "D-1", 2): ("process of m-2 😀", "2"),
        artifact_id(DECREE_ISSUED, "m-3", "DEMO", "DecreeDocument", "D-2", 1): ("process of m-3", "1"),
    }
    notice = artifact_id(DECREE_ISSUED, "m-1", "PSF", "OsvRecord", "N-D-1")
    advisories = [artifact_id(OSV.name, "a-1", "PSF", "OsvRecord", reference) for reference in ("A-1", "A-1 ä")]
    assert told.keys() == {f"{each}-event" for each in (*decrees, notice, *advisories)}
    for each, (process, version) in decrees.items():
        event, trace = told[f"{each}-event"]
        assert (event["processId"], trace) == (process, TRACE)
        assert str(event["references"]["archivedArtifact"]["version"]) == version
    assert told[f"{notice}-event"][0]["processId"] == "process of m-1/notice"
    job = live_jobs(service)[OSV.name]
    assert {told[f"{each}-event"][0]["processId"] for each in advisories} == {job["jobId"]}
    traces = {told[f"{each}-event"][1] for each in advisories}
    asked = [each for each in source.requests if each["id"].startswith("A-1")]
    assert {each["headers"]["traceparent"].split("-")[1] for each in asked} == traces
    assert len(traces) == len(asked) == 2

    schema = avro.schema.parse((archive.directory / "registry/demo/decreedocument/DecreeDocument_v1.avsc").read_text())
    for each in decrees:
        place = told[f"{each}-event"][0]["references"]["storageObject"]
        where = (place["storageObjectBucket"], place["storageObjectKey"], place["storageObjectVersionId"])
        found = read_version(archive.s3, *where)
        assert (found.metadata["idempotence-id"], found.content_type) == (each, "avro/binary")
        document = datum(schema, found.content)
        assert (document["customer"], document["scan"]) == ({"id": "4711", "name": None}, b"scan")
        assert document["paragraphs"][0] in ("from JSON", "from Avro", "one")
    versions = stored(archive, "D-1")
    assert [json.loads(each.content) for each in versions] == [
        {"id": "x_D-1", "modified": "2026-01-01T00:00:00Z", "summary": text, "aliases": ["4711", "fixed"]}
        for text in ("from JSON", "from Avro")
    ]
    assert [each.metadata["idempotence-id"] for each in versions] == [
        artifact_id(DECREE_ISSUED, message, "PSF", "OsvRecord", "D-1") for message in ("m-1", "m-2 😀")
    ]
    assert {each.metadata["job-id"] for each in versions} == {summaries["jobId"]}
    report = service.report(summaries["jobId"])
    assert [(each["id"], each["state"]) for each in report["archiveDataReferences"]] == [("D-1", "succeeded")] * 2


def test_live_artifacts_are_found_by_their_metadata(service: Service, oidc: Oidc) -> None:
    reader = oidc.token("pas-reader", claims={"userroles": ["psf_@artifact_#read"]})
    found = service.api("GET", "/api/artifacts?metadata.customer_id=4711", token=reader).json()["items"]
    assert {(each["referenceId"], each["version"]) for each in found} == {("D-1", 1), ("D-1", 2), ("D-2", 1)}
    assert {each["jobId"] for each in found} == {live_jobs(service)[DECREES]["jobId"]}


def test_one_configuration_serves_both_flows(service: Service, topic: str) -> None:
    job_id = uuid4()
    service.submit(job_id, unversioned("B-1"), OSV._replace(topic=topic))
    assert_all_succeeded(service.wait_completed(job_id), ["B-1"])


def test_poison_goes_where_it_belongs_and_what_is_good_between_is_archived(
    archive: Archive, service: Service, topic: str, schema_id: int
) -> None:
    whole = framed(schema_id, decree_issued("p-avro", "P", 1))
    letters = {
        b"not JSON": "JSON",
        b"[1]": "",
        b"": "",
        advisory("", "P-1"): "identity.idempotenceId",
        json.dumps({**envelope(OSV.name, "p"), "identity": None, "payload": {"advisory": "P-2"}}).encode(): "identity",
        advisory("p-3", ""): "reference.id",
        json.dumps(envelope(OSV.name, "p-4")).encode(): "reference.id",
        b"\0" + (4_000_000_000).to_bytes(4, "big") + whole[5:]: "knows no schema 4000000000",
        whole[:-3]: "",
        whole + b"x": "",
        # the status behind the date, -1 in the place of 1: the last one from the end for readers that do not look
        whole.replace(b"\xc0\xb8\x02\x02", b"\xc0\xb8\x02\x01"): "status: must be one of the symbols",
        advisory("p-8", "P-8").replace(b'"P-8"', b'"P-8", "n": 1e99999999999999999999'): "exponent of more than 18",
    }
    passed = [
        (None, []),
        (json.dumps(envelope("SomethingElseEvent", "p-5")).encode(), []),
        (json.dumps({**envelope("", "p-6"), "type": {}}).encode(), []),
        (advisory("p-7", "P-7"), [("jeap_eh_target_service", b"other")]),
        (b"not JSON", [("jeap_eh_target_service", b"other")]),
    ]
    before = live_jobs(service)[OSV.name]["counts"]["total"]
    for number, bad in enumerate([*((each, []) for each in letters), *passed]):
        send(archive, topic, number % PARTITIONS, bad[0], headers=[("h", b"x"), *bad[1]])
        send(archive, topic, number % PARTITIONS, advisory(f"g-{number}", f"G-{number}"))
    good = len(letters) + len(passed)
    wait_live(service, OSV.name, succeeded=before + good, total=before + good)
    settled(archive, service, topic)
    found = read_topic(archive.kafka, f"{topic}-dlq")
    assert Counter(letter.value for letter in found) == Counter(letters.keys())
    sent = {(each.partition, each.offset): each for each in read_topic(archive.kafka, topic)}
    for letter in found:
        original = sent[int(letter.header("dlq-partition")), int(letter.header("dlq-offset"))]
        assert (letter.key, letter.value, letter.header("h")) == (b"k", original.value, "x")
        assert letter.header("dlq-topic") == topic
        assert letters[letter.value or b""] in letter.header("dlq-reason")
    assert read_topic(archive.kafka, archive.dead_letters) == []


def test_a_failure_has_the_trace_of_its_message_and_a_retry_archives_it(
    archive: Archive, service: Service, registry: Registry, source: Source, topic: str
) -> None:
    source.script(match="gone", times=1, status=404)
    before = live_jobs(service)[OSV.name]["counts"]
    send(archive, topic, 2, advisory("f-1", "gone", processId="P-77"), headers=TRACEPARENT)
    job = wait_live(service, OSV.name, failed=before["failed"] + 1)
    [entry] = [each for each in service.report(job["jobId"])["archiveDataReferences"] if each["state"] == "failed"]
    assert (entry["id"], entry["error"]["traceId"]) == ("gone", TRACE)
    assert "HTTP 404" in entry["error"]["message"]
    [asked] = [each for each in source.requests if each["id"] == "gone"]
    assert asked["headers"]["traceparent"].split("-")[1] == TRACE

    retry = retried(service, job["jobId"])
    assert_all_succeeded(service.wait_completed(retry), ["gone"])
    event, trace = events(archive, registry)[f"{artifact_id(OSV.name, 'f-1', 'PSF', 'OsvRecord', 'gone')}-event"]
    assert (event["processId"], trace) == ("P-77", TRACE)
    send(archive, topic, 0, advisory("f-1", "gone", processId="P-77"))
    settled(archive, service, topic)
    assert live_jobs(service)[OSV.name]["counts"]["total"] == before["total"] + 1, "the message is known"


def retried(service: Service, job_id: str) -> Any:
    new = uuid4()
    answer = service.api("POST", f"/api/jobs/{job_id}/retry", json={"jobId": str(new)})
    assert answer.status_code in (200, 201, 202), answer.text
    return new


def test_a_live_job_is_paused_resumed_and_cancelled_and_goes_on_with_the_next_message(
    archive: Archive, service: Service, topic: str
) -> None:
    job = live_jobs(service)[OSV.name]
    path, succeeded, failed = f"/api/jobs/{job['jobId']}", job["counts"]["succeeded"], job["counts"]["failed"]
    assert service.api("POST", f"{path}/pause").json()["paused"]
    send(archive, topic, 0, advisory("s-1", "S-1"))
    wait_live(service, OSV.name, open=1)
    assert service.api("POST", f"{path}/resume").status_code == 200
    wait_live(service, OSV.name, open=0, succeeded=succeeded + 1)

    assert service.api("POST", f"{path}/pause").status_code == 200
    send(archive, topic, 0, advisory("s-2", "S-2"))
    wait_live(service, OSV.name, open=1)
    assert service.api("POST", f"{path}/cancel").status_code == 200
    assert wait_live(service, OSV.name, open=0, failed=failed + 1)["state"] == "open"
    send(archive, topic, 0, advisory("s-3", "S-3"))
    wait_live(service, OSV.name, open=0, succeeded=succeeded + 2)


def test_without_the_registry_avro_waits_in_its_order_and_other_partitions_go_on(
    archive: Archive, service: Service, registry: Registry, topic: str
) -> None:
    """More messages wait than the process holds in memory."""
    newer = {**SCHEMA, "fields": [*SCHEMA["fields"], {"name": "since", "type": "string", "default": ""}]}
    new_id = registry.register("live-newer", newer)
    counts = live_jobs(service)[OSV.name]["counts"]
    registry.stop()
    try:
        value = framed(new_id, decree_issued("w-1", "W", 1, text="from Avro")) + b"\0"  # `since` is empty
        behind = [json.dumps(decree_issued("w-2", "W", 2, text="behind")).encode()]
        others = json.dumps(envelope("SomethingElseEvent", "w")).encode()
        send(archive, topic, 0, value, *behind, *([others] * 600), advisory("w-3", "W-3"))
        send(archive, topic, 1, advisory("o-1", "O-1"))
        wait_live(service, OSV.name, total=counts["total"] + 1, succeeded=counts["succeeded"] + 1)
        assert live_jobs(service)[DECREES]["counts"]["total"] == 3
    finally:
        registry.start()
    wait_live(service, OSV.name, 120, total=counts["total"] + 2, succeeded=counts["succeeded"] + 2)
    wait_live(service, SUMMARIES, succeeded=4)
    summaries = [json.loads(each.content)["summary"] for each in stored(archive, "W")]
    assert summaries == ["from Avro", "behind"]
    settled(archive, service, topic)


def test_a_payload_that_failed_is_kept_and_its_retry_archives_it_once_its_schema_is_there(
    archive: Archive, service: Service, topic: str
) -> None:
    send(archive, topic, 2, json.dumps(decree_issued("v-2", "V", 1, notice="needs v2")).encode())
    job = wait_live(service, NOTICES, failed=1)
    [entry] = [each for each in service.report(job["jobId"])["archiveDataReferences"] if each["state"] == "failed"]
    assert "Unknown archive data schema" in entry["error"]["message"]
    service.stop()
    with_second_version(archive)
    send(archive, topic, 2, advisory("v-3", "V-3"))
    succeeded = archive.query("SELECT sum(succeeded) AS number FROM backfill_job WHERE message = $1", OSV.name)
    service.start()
    retry = retried(service, job["jobId"])
    assert_all_succeeded(service.wait_completed(retry), ["N-V"])
    [found] = stored(archive, "N-V")
    assert json.loads(found.content)["details"] == "needs v2"
    after = "SELECT sum(succeeded) AS number FROM backfill_job WHERE message = $1"
    service.wait(
        "what came meanwhile", lambda: archive.query(after, OSV.name)[0]["number"] == succeeded[0]["number"] + 1
    )


def with_second_version(archive: Archive) -> None:
    folder = archive.directory / "registry/psf/osvrecord"
    shutil.copy(folder / "OsvRecord_v1.schema.json", folder / "OsvRecord_v2.schema.json")
    descriptor = json.loads((folder / "OsvRecord.json").read_text())
    descriptor["versions"].append({"version": 2, "schema": "OsvRecord_v2.schema.json"})
    (folder / "OsvRecord.json").write_text(json.dumps(descriptor))


def test_verify_finds_nothing_and_the_health_is_well(archive: Archive, service: Service) -> None:
    service.wait("well", lambda: service.ready() == (200, {"status": "ready", "problems": {}}))
    done = pas("verify", "--config", str(archive.config), timeout=150)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_a_registry_that_is_away_at_the_start_is_waited_for_by_the_live_flow(
    make_archive: MakeArchive, registry: Registry
) -> None:
    """What a message in Avro says, and the events that are to be published, wait for it; nothing is lost."""
    archive = make_archive()
    topic = f"{archive.bucket}-away"
    archive.kafka.create_topic(topic, 1)
    archive.configure(
        {
            "jeap.messaging.kafka.encoding": "avro",
            "jeap.messaging.kafka.schema-registry-url": registry.url,
            "jeap.processarchive.live.start": "earliest",
        }
    )
    write_types(archive, decree_types(topic)[:1])
    schema_id = registry.register(f"{topic}-{SCHEMA['namespace']}.{SCHEMA['name']}", SCHEMA)
    in_avro = framed(schema_id, decree_issued("r-1", "R", 1, text="from Avro"))
    send(archive, topic, 0, in_avro, json.dumps(decree_issued("r-2", "R", 2)).encode())
    registry.stop()
    service = archive.service()
    try:
        service.start()
        service.wait("named with its reason", lambda: registry.url in service.problem("schema-registry"))
        service.wait("work waits", lambda: any("work waits" in each["message"] for each in service.logged()))
        assert live_jobs(service) == {}, "the message behind the one in Avro keeps its place"
        assert read_topic(archive.kafka, archive.dead_letters) == []
        registry.start()
        wait_live(service, DECREES, 120, succeeded=2, total=2)
        assert len(events(archive, registry)) == 2
        service.wait("well", lambda: service.ready() == (200, {"status": "ready", "problems": {}}))
    finally:
        registry.start()
        service.close()
