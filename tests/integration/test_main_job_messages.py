"""The main job on real servers: every command and event, checked against contracts/messages."""

from collections import Counter

import pytest
from blake3 import blake3

from tests.integration.main_job import WITH_METADATA, Done, MainJob, trace_of, trace_of_request
from tests.integration.test_main_job_objects import Kind
from tests.support.archive_types import Reference
from tests.support.contracts import assert_fits
from tests.support.records import Record


@pytest.fixture(params=["osv", "decree"])
def kind(request: pytest.FixtureRequest, main_job: MainJob) -> Kind:
    return Kind(request.param, getattr(main_job, request.param))


def test_one_command_per_reference_goes_to_the_topic_under_the_id_as_key(main_job: MainJob, kind: Kind) -> None:
    job = kind.job
    assert Counter(map(reference_of_command, job.commands)) == Counter(job.references)
    for record in job.commands:
        command = record.json
        assert_fits("CreateArtifactCommand", command)
        identifier, version = reference_of_command(record)
        assert record.key == identifier.encode()
        assert command["identity"]["idempotenceId"] == command_id(job, identifier, version)
        assert command["type"] == {"name": "CreateArtifactCommand", "version": "1.0.1", "variant": None}
        assert command["publisher"] == {"system": "psf", "service": main_job.archive.group}
        assert command["payload"] == {
            "jobId": str(job.job_id),
            "messageName": job.message.name,
            "topicName": job.message.topic,
        }
        assert command["commandVersion"] == "1.3.0"
        assert trace_of_record(record) == trace_of(job.job_id, (identifier, version))
    ids = {record.json["identity"]["id"] for record in job.commands}
    assert len(ids) == len(job.commands)


def test_the_commands_of_a_job_are_on_all_partitions(main_job: MainJob) -> None:
    assert {record.partition for record in main_job.osv.commands} == {0, 1, 2, 3}


def test_one_event_per_archived_reference_says_where_the_artifact_lies(main_job: MainJob, kind: Kind) -> None:
    job = kind.job
    events = {reference_of_event(record): record for record in job.events}
    assert len(job.events) == len(events)
    assert sorted(events, key=str) == sorted(job.succeeded(), key=str)
    for reference, version, _ in kind.objects():
        record = events[reference]
        event = record.json
        assert_fits("SharedArchivedArtifactVersionCreatedEvent", event)
        assert event["type"] == {
            "name": "SharedArchivedArtifactVersionCreatedEvent",
            "version": "2.0.2",
            "variant": f"PSF_{kind.schema}",
        }
        assert event["publisher"] == {"system": "PSF", "service": main_job.archive.group}
        assert event["references"] == {
            "archivedArtifact": {
                "type": "archivedArtifact",
                "referenceId": reference[0],
                "referenceIdHash": kind.id_hash(reference),
                "referenceIdType": kind.id_type,
                "referenceIdTypeHash": blake3(kind.id_type.encode()).hexdigest(),
                "version": None if reference[1] is None else str(reference[1]),
            },
            "archivedArtifactType": {
                "type": "archivedArtifactType",
                "contentType": kind.content_type,
                "system": kind.system,
                "dataSchemaType": kind.schema,
                "dataSchemaVersion": 1,
            },
            "storageObject": {
                "type": "storageobject",
                "storageObjectBucket": main_job.archive.bucket,
                "storageObjectKey": version.key,
                "storageObjectVersionId": version.version_id,
            },
        }
        assert event["payload"]["expiration"] == {"days": kind.days}
        assert event["processId"] == str(job.job_id)
        assert event["domainEventVersion"] == "1.3.0"


def test_events_have_the_idempotence_id_of_their_command_and_the_job_as_key(kind: Kind) -> None:
    job = kind.job
    for record in job.events:
        identifier, version = reference_of_event(record)
        expected = f"CreateArtifactCommand_{command_id(job, identifier, version)}-event"
        assert record.json["identity"]["idempotenceId"] == expected
        assert record.key == b'{"processId":"%s"}' % str(job.job_id).encode()
        assert_fits("ProcessIdMessageKey", {"processId": str(job.job_id)})
    assert len({record.json["identity"]["eventId"] for record in job.events}) == len(job.events)


def test_events_carry_the_metadata_that_the_source_gave(main_job: MainJob) -> None:
    said = {reference_of_event(record)[0]: record.json["payload"]["metadata"] for record in main_job.osv.events}
    metadata = {each["name"]: each["value"] for each in said.pop(WITH_METADATA)}
    assert metadata == {"customer": "Zoë & Söhne/4711", "empty": "", "kind": "a"}
    assert all(not each for each in said.values())


def test_events_belong_to_the_trace_that_the_source_saw(kind: Kind) -> None:
    job = kind.job
    found = {reference_of_event(record): trace_of_record(record) for record in job.events}
    assert found == {reference: trace_of(job.job_id, reference) for reference in job.succeeded()}
    assert set(found.values()) <= {trace_of_request(seen) for seen in job.requests}


def trace_of_record(record: Record) -> str:
    version, trace_id, _, _ = record.header("traceparent").split("-")
    assert version == "00"
    return trace_id


def command_id(job: Done, identifier: str, version: int | None) -> str:
    units = len(identifier.encode("utf-16-le")) // 2
    return f"{job.job_id}-{units}:{identifier}:{'none' if version is None else f'v{version}'}"


def reference_of_command(record: Record) -> Reference:
    data = record.json["references"]["archiveData"]
    return data["referenceId"], data["referenceVersion"]


def reference_of_event(record: Record) -> Reference:
    data = record.json["references"]["archivedArtifact"]
    return data["referenceId"], None if data["version"] is None else int(data["version"])
