"""The contracts agree with each other and with what the service publishes."""

import json
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import fastavro
import jsonschema
import pytest
import yaml

from app.broker import codec, messages
from app.broker.encoding import AvroEncoder
from app.broker.messages import Publisher
from app.domain.artifacts import ArchiveTask, StoredArtifact
from app.domain.identity import command_idempotence_id, hash_of_text, reference_key
from app.domain.jobs import Reference, TaskId
from app.domain.tasks import OwedTask
from tests.unit.broker.golden import commands, events, value_of

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts" / "messages"
NAMES = [
    "CreateArtifactCommand",
    "SharedArchivedArtifactVersionCreatedEvent",
    "ProcessIdMessageKey",
    "BackfillMetadataCommand",
    "BackfillJobStateChangedEvent",
]
NOW = datetime(2026, 11, 22, 7, 28, 37, 294_000, tzinfo=UTC)
JOB = uuid4()
REFERENCES = [Reference("ä/ö ?&=+%", 1), Reference("😀"), Reference("0123", 2**31 - 1), Reference("x" * 512, None)]
STORED = StoredArtifact(
    bucket="archive",
    key="PSF/OsvRecord/68/688d/v1",
    version_id="6715b2aa",
    sha256="0" * 64,
    size=4711,
    content_type="application/json",
    system="PSF",
    schema="OsvRecord",
    schema_version=1,
    reference_id_type="org.python.advisory.OsvRecord",
    reference_id_hash=hash_of_text("a", "b"),
    expiration_days=90,
    archived_at=NOW,
    retain_until=None,
    metadata=(("foo-bar", "v1"), ("empty", "")),
)
CHANGE = {
    "jobId": str(JOB),
    "messageName": "DocCreated",
    "change": "completed",
    "state": "completed",
    "result": "partially-succeeded",
    "counts": {"total": 4, "open": 0, "succeeded": 3, "failed": 1},
    "by": None,
}


PUBLISHER = Publisher("SYS", "pas")


def schema(name: str) -> Any:
    return json.loads((CONTRACTS / f"{name}.schema.json").read_text())


def avro(name: str) -> Any:
    return json.loads((CONTRACTS / f"{name}.avsc").read_text())


def built(reference: Reference) -> list[tuple[str, dict[str, Any]]]:
    command_id = command_idempotence_id(JOB, reference)
    owed = OwedTask(JOB, 0, UUID(bytes=reference_key(reference)), reference, "DocCreated", "docs")
    command = messages.create_artifact_command(owed, PUBLISHER, NOW, uuid4())
    task = ArchiveTask(TaskId(JOB, 0), reference, "DocCreated", None, NOW, 0, 4, command_id, "1" * 32)
    event = messages.archived_artifact_event(STORED, task, PUBLISHER, NOW, uuid4())
    key = messages.event_key(str(JOB))
    batch = messages.backfill_metadata_command(JOB, 2**31 - 1, PUBLISHER, NOW, uuid4())
    change = messages.job_state_changed_event(CHANGE, 3, PUBLISHER, NOW, uuid4())
    return list(zip(NAMES, [command, event, key, batch, change], strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_a_schema_and_its_examples_hold(name: str) -> None:
    document = schema(name)
    jsonschema.Draft202012Validator.check_schema(document)
    assert document["examples"]
    for example in document["examples"]:
        jsonschema.Draft202012Validator(document).validate(example)


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda reference: reference.id[:10])
def test_what_is_published_is_valid(reference: Reference) -> None:
    for name, message in built(reference):
        jsonschema.Draft202012Validator(schema(name)).validate(json.loads(codec.encode(message)))


def test_what_the_java_service_published_is_valid() -> None:
    for name, records in zip(NAMES[:2], [commands(), events()], strict=True):
        for record in records:
            jsonschema.Draft202012Validator(schema(name)).validate(value_of(record))


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda reference: reference.id[:10])
def test_a_foreign_avro_reader_reads_what_is_published(reference: Reference) -> None:
    for name, message in built(reference):
        body = BytesIO()
        fastavro.schemaless_writer(body, avro(name), message, strict=True)
        read: Any = fastavro.schemaless_reader(BytesIO(body.getvalue()), avro(name), None)
        if "identity" in read:
            assert read["identity"]["created"] == NOW
            read["identity"]["created"] = message["identity"]["created"]
        assert read == message


@pytest.mark.parametrize("name", NAMES)
def test_avro_and_json_schema_have_the_same_fields_and_types(name: str) -> None:
    assert shape_of_json(schema(name)) == shape_of_avro(avro(name))


def shape_of_avro(kind: Any) -> Any:
    """Nested dicts of field → type, `?` after the name of a field that a sender may leave out."""
    match kind:
        case {"type": "record"}:
            return {f["name"] + ("?" if "default" in f else ""): shape_of_avro(f["type"]) for f in kind["fields"]}
        case {"type": "array"}:
            return [shape_of_avro(kind["items"])]
        case {"type": "string", "avro.java.string": "String"}:
            return "string"
        case {"type": "long"} | "long" | "int":
            return "integer"
        case list():
            return sorted(shape_of_avro(each) for each in kind)
        case _:
            return kind


def shape_of_json(node: Any) -> Any:
    match node["type"]:
        case "object":
            required = set(node["required"])
            optional = {name for name, child in node["properties"].items() if "default" in child}
            assert optional == node["properties"].keys() - required
            return {
                name + ("?" if name in optional else ""): shape_of_json(child)
                for name, child in node["properties"].items()
            }
        case "array":
            return [shape_of_json(node["items"])]
        case list() as kinds:
            return sorted(kinds)
        case kind:
            return kind


def test_every_field_has_a_description() -> None:
    for name in NAMES:
        assert not [path for path, node in walk(schema(name), name) if not node.get("description")]


def walk(node: Any, path: str) -> Any:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}")
    if "items" in node:
        yield from walk(node["items"], f"{path}[]")


def asyncapi() -> Any:
    return yaml.safe_load((CONTRACTS / "asyncapi.yaml").read_text())


def references(node: Any) -> Any:
    if isinstance(node, dict):
        for key, child in node.items():
            if key == "$ref":
                yield child
            else:
                yield from references(child)
    elif isinstance(node, list):
        for child in node:
            yield from references(child)


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = asyncapi()
    for reference in references(document):
        if reference.startswith("#/"):
            node = document
            for part in reference[2:].split("/"):
                node = node[part]
        else:
            assert (CONTRACTS / reference).is_file(), reference


def test_the_asyncapi_document_names_sender_and_receiver_of_every_channel() -> None:
    document = asyncapi()
    used = {operation["channel"]["$ref"].removeprefix("#/channels/") for operation in document["operations"].values()}
    assert used == document["channels"].keys()
    assert document["asyncapi"] == "3.0.0"
    for channel in document["channels"].values():
        assert channel["x-sender"]
        assert channel["x-receiver"]


def test_the_asyncapi_document_names_the_subjects_that_schemas_are_registered_under() -> None:
    registry: Any = None  # nothing is asked while encoders are made
    for name, message in asyncapi()["components"]["messages"].items():
        if name in ("DeadLetter", "LiveMessage"):  # bytes, and records of other services
            assert "x-avro" not in message
            continue
        assert message["x-avro"]["subject"].replace("{topic}", "t") == AvroEncoder(registry, "t", name).subject
    key = asyncapi()["components"]["messages"][messages.EVENT_TYPE]["bindings"]["kafka"]["x-avro-key"]
    assert key["subject"].replace("{topic}", "t") == AvroEncoder(registry, "t", messages.EVENT_KEY_TYPE).subject


def test_the_command_topic_carries_both_commands_in_both_directions() -> None:
    document = asyncapi()
    channel = document["channels"]["createArtifactCommand"]
    assert channel["messages"].keys() == {"CreateArtifactCommand", "BackfillMetadataCommand"}
    seen = {
        (operation["action"], message["$ref"].rsplit("/", 1)[1])
        for operation in document["operations"].values()
        for message in operation["messages"]
    }
    assert {(action, name) for action in ("send", "receive") for name in channel["messages"]} <= seen


def test_live_topics_are_a_template_of_messages_that_are_received() -> None:
    document = asyncapi()
    channel = document["channels"]["liveMessages"]
    assert channel["address"] == "{liveTopic}"
    assert channel["parameters"].keys() == {"liveTopic"}
    assert channel["messages"].keys() == {"LiveMessage"}
    to_it = [each for each in document["operations"].values() if each["channel"]["$ref"] == "#/channels/liveMessages"]
    assert [each["action"] for each in to_it] == ["receive"]


def test_the_envelope_of_a_live_message_is_what_must_be_there() -> None:
    document = schema("LiveMessage")
    jsonschema.Draft202012Validator.check_schema(document)
    validator = jsonschema.Draft202012Validator(document)
    [example] = document["examples"]
    assert validator.is_valid(example)
    assert not validator.is_valid({**example, "identity": {"id": "x"}})
    assert not validator.is_valid({**example, "type": {}})
    assert validator.is_valid({"identity": {"idempotenceId": "i"}, "type": {"name": "M"}})
    for record in (*commands(), *events()):  # the Java service's own envelope
        assert validator.is_valid(value_of(record))
    assert not [path for path, node in walk(document, "LiveMessage") if not node.get("description")]


def test_headers_are_described() -> None:
    schemas = asyncapi()["components"]["schemas"]
    assert schemas["Headers"]["properties"].keys() == schemas["LiveHeaders"]["properties"].keys()
    assert {"traceparent", "jeap_eh_target_service"} == schemas["Headers"]["properties"].keys()
    assert {"dlq-reason", "dlq-topic", "dlq-partition", "dlq-offset", "dlq-truncated", "dlq-sha256"} == schemas[
        "DeadLetterHeaders"
    ]["properties"].keys()
