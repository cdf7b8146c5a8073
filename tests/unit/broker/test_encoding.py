"""Golden: what the Java service sent is decoded to its values, and what we publish has the same bytes."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from app.broker import codec, messages
from app.broker.encoding import JSON, AvroEncoder, Encoding
from app.broker.framing import NO_REGISTRY, SchemaNeeded, contract
from app.broker.registry import SchemaRegistry
from app.domain.artifacts import ArchiveTask, StoredArtifact
from app.domain.errors import InvalidMessage, Unavailable
from app.domain.identity import reference_key
from app.domain.jobs import Reference, TaskId
from app.domain.tasks import OwedTask
from tests.support.schema_registry import FakeRegistry, client_of, refused, schema_registry
from tests.unit.broker.golden import commands, events, schemas_registered, value_of

Captured = dict[str, Any]
NAMES = {1: "CreateArtifactCommand", 2: "ProcessIdMessageKey", 3: "SharedArchivedArtifactVersionCreatedEvent"}


@pytest.fixture
async def fake() -> AsyncIterator[FakeRegistry]:
    """The registry as the Java service left it."""
    async with schema_registry() as fake:
        for number, schema in schemas_registered().items():
            text = json.dumps(schema, separators=(",", ":"))
            topic = captured()[number][0][2]["topic"]
            fake.add(text, f"{topic}-{schema['namespace']}.{schema['name']}", number)
        yield fake


@pytest.fixture
async def client(fake: FakeRegistry) -> SchemaRegistry:
    client = client_of(fake)
    for number in NAMES:
        await client.find(number)
    return client


def captured() -> dict[int, list[tuple[bytes, Any, Captured]]]:
    """By id of the schema: bytes, decoded value, and the whole record."""
    return {
        1: [(bytes.fromhex(each["value_hex"]), each["value"]["json"], each) for each in commands()],
        2: [(bytes.fromhex(each["key_hex"]), each["key"]["json"], each) for each in events()],
        3: [(bytes.fromhex(each["value_hex"]), each["value"]["json"], each) for each in events()],
    }


CASES = [(number, *each) for number, several in captured().items() for each in several]
IDS = [f"{NAMES[number]}-{place}" for place, (number, *_) in enumerate(CASES)]


def test_schemas_are_those_of_the_java_service_property_for_property() -> None:
    for number, schema in schemas_registered().items():
        assert contract(NAMES[number]).decode() == json.dumps(schema, separators=(",", ":"))


@pytest.mark.parametrize(("number", "message", "value", "_record"), CASES, ids=IDS)
async def test_every_captured_record_is_decoded_to_its_value(
    client: SchemaRegistry, number: int, message: bytes, value: Any, _record: Captured
) -> None:
    decoded = dict(codec.decode_values(message, client))
    if "identity" in decoded:
        created, shown = decoded["identity"]["created"], value["identity"]["created"]
        assert created == datetime.fromisoformat(shown).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        decoded["identity"]["created"] = shown
    assert decoded == value


@pytest.mark.parametrize("record", commands(), ids=lambda record: record["value"]["json"]["identity"]["id"])
async def test_a_command_is_the_same_in_both_encodings(client: SchemaRegistry, record: Captured) -> None:
    value = value_of(record)
    framed = codec.decode(bytes.fromhex(record["value_hex"]), client)
    assert framed == codec.decode(JSON.encode(value), client) == value
    assert codec.command_of(framed).created == value["identity"]["created"]


@pytest.mark.parametrize(("number", "message", "value", "record"), CASES, ids=IDS)
async def test_every_captured_value_is_encoded_to_the_captured_bytes(
    client: SchemaRegistry, number: int, message: bytes, value: Any, record: Captured
) -> None:
    encoder = AvroEncoder(client, record["topic"], NAMES[number])
    assert not encoder.is_ready
    await encoder.prepare()
    assert encoder.is_ready
    assert encoder.encode(value if number == 2 else value_of(record)) == message


@pytest.mark.parametrize("record", commands(), ids=lambda record: record["value"]["json"]["identity"]["id"])
async def test_a_command_made_from_the_captured_values_has_the_captured_bytes(
    client: SchemaRegistry, record: Captured
) -> None:
    value = value_of(record)
    data, payload = value["references"]["archiveData"], value["payload"]
    reference = Reference(data["referenceId"], data["referenceVersion"])
    made = messages.create_artifact_command(
        OwedTask(
            UUID(payload["jobId"]),
            0,
            UUID(bytes=reference_key(reference)),
            reference,
            payload["messageName"],
            payload["topicName"],
        ),
        messages.Publisher(value["publisher"]["system"], value["publisher"]["service"]),
        datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=value["identity"]["created"]),
        UUID(value["identity"]["id"]),
    )
    encoder = AvroEncoder(client, record["topic"], "CreateArtifactCommand")
    await encoder.prepare()
    assert encoder.encode(made) == bytes.fromhex(record["value_hex"])


@pytest.mark.parametrize("record", events(), ids=lambda record: record["value"]["json"]["identity"]["eventId"])
async def test_an_event_made_from_the_captured_values_has_the_captured_bytes(
    client: SchemaRegistry, record: Captured
) -> None:
    value = value_of(record)
    artifact, kind, place = (
        value["references"][name] for name in ("archivedArtifact", "archivedArtifactType", "storageObject")
    )
    job_id, now = UUID(value["processId"]), datetime(1970, 1, 1, tzinfo=UTC)
    stored = StoredArtifact(
        bucket=place["storageObjectBucket"],
        key=place["storageObjectKey"],
        version_id=place["storageObjectVersionId"],
        sha256="0" * 64,
        size=1,
        content_type=kind["contentType"],
        system=kind["system"],
        schema=kind["dataSchemaType"],
        schema_version=kind["dataSchemaVersion"],
        reference_id_type=artifact["referenceIdType"],
        reference_id_hash=artifact["referenceIdHash"],
        expiration_days=value["payload"]["expiration"]["days"],
        archived_at=now,
        retain_until=None,
        metadata=tuple((each["name"], each["value"]) for each in value["payload"]["metadata"]),
    )
    version = artifact["version"]
    command_id = value["identity"]["idempotenceId"].removeprefix("CreateArtifactCommand_").removesuffix("-event")
    reference = Reference(artifact["referenceId"], None if version is None else int(version))
    made = messages.archived_artifact_event(
        stored,
        ArchiveTask(TaskId(job_id, 0), reference, "M", None, now, 0, 4, command_id, "1" * 32),
        messages.Publisher(value["publisher"]["system"], value["publisher"]["service"]),
        now + timedelta(milliseconds=value["identity"]["created"]),
        UUID(value["identity"]["eventId"]),
    )
    encoding = Encoding(client)
    event, key = (encoding.of(record["topic"], NAMES[number]) for number in (3, 2))
    await encoding.prepare()
    assert event.encode(made) == bytes.fromhex(record["value_hex"])
    assert key.encode(messages.event_key(str(job_id))) == bytes.fromhex(record["key_hex"])


async def test_ids_are_shared_with_the_java_service_and_asked_for_once(
    fake: FakeRegistry, client: SchemaRegistry
) -> None:
    encoder = AvroEncoder(client, commands()[0]["topic"], "CreateArtifactCommand")
    for _ in range(3):
        await encoder.prepare()
    subject = "peer-process-archive-createartifact-ch.admin.bit.jeap.processarchive.command.CreateArtifactCommand"
    assert encoder.subject == subject
    assert [each for each in fake.requests if each.startswith("POST")] == [f"POST /subjects/{subject}"]
    assert len(fake.schemas) == 3


async def test_the_encoders_are_ready_once_all_are(fake: FakeRegistry, client: SchemaRegistry) -> None:
    encoding = Encoding(client)
    encoders = [
        encoding.of("new", "BackfillMetadataCommand"),
        encoding.of("new", "ProcessIdMessageKey", of_tasks=True),
    ]
    fake.misbehave = lambda request: refused(50001) if "ProcessId" in request.target else None
    with pytest.raises(Unavailable, match="HTTP 500"):
        await encoding.prepare()
    assert [each.is_ready for each in encoders] == [True, False]
    assert encoding.holds_tasks()
    fake.misbehave = lambda _request: None
    await encoding.prepare()
    assert encoders[1].is_ready
    assert not encoding.holds_tasks()


async def test_without_a_registry_messages_are_json() -> None:
    encoding = Encoding()
    encoder = encoding.of("t", "CreateArtifactCommand")
    await encoding.prepare()
    await encoder.prepare()
    assert encoder is JSON
    assert encoder.is_ready
    assert encoder.encode({"a": 1}) == b'{"a":1}'


@pytest.mark.parametrize("decode", [codec.decode, codec.decode_values])
async def test_a_schema_is_needed_then_known_or_of_no_use(fake: FakeRegistry, decode: Any) -> None:
    client, message = client_of(fake), bytes.fromhex(commands()[0]["value_hex"])
    with pytest.raises(SchemaNeeded) as caught:
        decode(message, client)
    assert caught.value.schema_id == 1
    await client.find(1)
    assert decode(message, client)["commandVersion"] == "1.3.0"
    with pytest.raises(InvalidMessage, match="framed Avro without the id of a schema"):
        decode(message[:4], client)
    with pytest.raises(InvalidMessage, match=r"framed Avro, but not a ch\.admin\..*CreateArtifactCommand: \$: 1 bytes"):
        decode(message + b"\0", client)


async def test_a_writer_with_a_schema_of_its_own_is_read_by_names(fake: FakeRegistry) -> None:
    """As it was written: newer fields in between, others left out, texts where we have unions."""
    newer = json.loads(contract("CreateArtifactCommand"))
    newer["fields"].insert(0, {"name": "userContext", "type": "string", "default": ""})
    number, client = fake.add(newer), client_of(fake)
    await client.find(number)
    message = bytes.fromhex(commands()[0]["value_hex"])
    framed = b"\0" + number.to_bytes(4, "big") + b"\x04me" + message[5:]
    assert codec.command_of(codec.decode(framed, client)).reference == Reference("ä/ö ?&=+%", 1)


def test_json_is_read_with_all_digits_of_its_numbers() -> None:
    value = codec.decode_values(b'{"amount": 0.1234567890123456789012345}', NO_REGISTRY)
    assert str(value["amount"]) == "0.1234567890123456789012345"
    for wrong, reason in ((b"[1]", "not a JSON object"), (b"{", "neither JSON nor framed Avro"), (b"\xff", "neither")):
        with pytest.raises(InvalidMessage, match=reason):
            codec.decode_values(wrong, NO_REGISTRY)


def test_a_message_with_a_number_that_cannot_be_kept_says_so() -> None:
    with pytest.raises(InvalidMessage, match=r"^a number has an exponent of more than 18 digits: JSON allows this"):
        codec.decode_values(b'{"a": 1, "amount": 1e99999999999999999999}', NO_REGISTRY)


async def test_without_a_registry_framed_avro_is_refused_with_the_way_out_unless_it_is_a_command_of_ours() -> None:
    message = bytes.fromhex(commands()[0]["value_hex"])
    assert codec.decode(message)["commandVersion"] == "1.3.0"
    with pytest.raises(InvalidMessage, match=r"no schema registry is configured \(jeap\.messaging\.kafka\.schema-reg"):
        codec.decode_values(message, NO_REGISTRY)
    for event in events():
        with pytest.raises(InvalidMessage, match="unknown message type 'Shared"):
            codec.decode(bytes.fromhex(event["value_hex"]))
        with pytest.raises(InvalidMessage, match=r"not a command: .*; no schema registry is configured"):
            codec.decode(bytes.fromhex(event["key_hex"]))
    assert NO_REGISTRY.known(7) is await NO_REGISTRY.find(7)
