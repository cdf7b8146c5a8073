"""What is published equals what the Java service published, but for its random ids, clocks and object keys."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from app.broker import messages
from app.broker.codec import encode
from app.domain.artifacts import ArchiveTask, StoredArtifact
from app.domain.identity import hash_of_text, reference_key
from app.domain.jobs import Reference, TaskId
from app.domain.tasks import OwedTask
from tests.unit.broker.golden import commands, events, value_of


def when(value: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(value["identity"]["created"] / 1000, UTC)


@pytest.mark.parametrize("record", commands(), ids=lambda record: record["value"]["json"]["identity"]["idempotenceId"])
def test_a_command_is_what_the_java_service_sent(record: dict[str, Any]) -> None:
    expected = value_of(record)
    data = expected["references"]["archiveData"]
    reference = Reference(data["referenceId"], data["referenceVersion"])

    built = messages.create_artifact_command(
        OwedTask(
            UUID(expected["payload"]["jobId"]),
            0,
            UUID(bytes=reference_key(reference)),
            reference,
            expected["payload"]["messageName"],
            expected["payload"]["topicName"],
        ),
        messages.Publisher("PEER", "peer-pas"),
        when(expected),
        UUID(expected["identity"]["id"]),
    )

    assert built == expected


@pytest.mark.parametrize("record", events(), ids=lambda record: record["value"]["json"]["identity"]["idempotenceId"])
def test_an_event_is_what_the_java_service_sent(record: dict[str, Any]) -> None:
    expected = value_of(record)
    artifact = expected["references"]["archivedArtifact"]
    kind = expected["references"]["archivedArtifactType"]
    place = expected["references"]["storageObject"]
    command_id = expected["identity"]["idempotenceId"].removeprefix("CreateArtifactCommand_").removesuffix("-event")
    stored = StoredArtifact(
        bucket=place["storageObjectBucket"],
        key=place["storageObjectKey"],
        version_id=place["storageObjectVersionId"],
        sha256="",
        size=1,
        content_type=kind["contentType"],
        system=kind["system"],
        schema=kind["dataSchemaType"],
        schema_version=kind["dataSchemaVersion"],
        reference_id_type=artifact["referenceIdType"],
        reference_id_hash=hash_of_text(artifact["referenceId"], artifact["referenceIdType"]),
        expiration_days=expected["payload"]["expiration"]["days"],
        archived_at=when(expected),
        retain_until=None,
        metadata=tuple((entry["name"], entry["value"]) for entry in expected["payload"]["metadata"]),
    )
    version = artifact["version"]
    reference = Reference(artifact["referenceId"], None if version is None else int(version))
    task_id = TaskId(UUID(expected["processId"]), 0)
    task = ArchiveTask(task_id, reference, "M", None, when(expected), 0, 4, command_id, "1" * 32)

    built = messages.archived_artifact_event(
        stored,
        task,
        messages.Publisher("PEER", "peer-pas"),
        when(expected),
        UUID(expected["identity"]["eventId"]),
    )

    assert built == expected


def test_the_key_of_a_command_is_the_reference_id() -> None:
    assert messages.command_key(Reference("ä/1")) == "ä/1".encode()


def test_the_key_of_an_event_names_the_job() -> None:
    job = UUID("99999999-9999-4999-8999-999999999999")
    assert encode(messages.event_key(str(job))) == b'{"processId":"99999999-9999-4999-8999-999999999999"}'


@pytest.mark.parametrize("millis", [0, 1, 294, 999, 1_795_332_517_294, 1_795_332_517_999])
def test_created_is_exact_to_the_millisecond(millis: int) -> None:
    assert messages.epoch_millis(datetime.fromtimestamp(millis / 1000, UTC)) == millis
