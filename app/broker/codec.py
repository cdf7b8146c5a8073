"""Encodes and decodes records. Reads JSON and Confluent-framed Avro; refused records become dead letters."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any, cast
from uuid import UUID

import fastavro
import orjson

from app import shipped
from app.broker.messages import COMMAND_TYPE, RUN_COMMAND_TYPE
from app.domain.errors import InvalidMessage
from app.domain.jobs import Reference

CONTRACTS = shipped.FILES / "contracts" / "messages"

MAX_COMMAND_BYTES = 64 * 1024
"""A command with the longest id in the costliest escaping has 13 KiB; parsing more would only feed an attacker."""

MAX_VERSION = 2**31 - 1
"""An Avro int, as in the contract."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_FRAME = 5
"""Magic byte 0 and the four bytes of a schema id, which is not looked up: the reader's schema is known."""


@dataclass(frozen=True, slots=True)
class CreateArtifactCommandMessage:
    """A decoded `CreateArtifactCommand`; `created` in epoch milliseconds, `message` and `topic` as the job has them."""

    id: str
    idempotence_id: str
    created: int
    system: str
    service: str
    job_id: UUID
    reference: Reference
    message: str
    topic: str


def encode(message: Mapping[str, Any]) -> bytes:
    """Compact UTF-8 JSON."""
    return orjson.dumps(message)


def decode(value: bytes | None) -> Mapping[str, Any]:
    """The record of a value, its fields unchecked: JSON object, or Avro of a known type. Raises InvalidMessage."""
    if value is None:
        raise InvalidMessage("tombstone: the record has no value")
    if len(value) > MAX_COMMAND_BYTES:
        raise InvalidMessage(f"value of {len(value)} bytes, a command has at most {MAX_COMMAND_BYTES}")
    if value[:1] == b"\0":
        return _from_avro(value)
    try:
        record = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise InvalidMessage(f"neither JSON nor framed Avro: {error.msg}") from None
    if type(record) is not dict:
        raise InvalidMessage("not a JSON object")
    return record


def message_type(record: Mapping[str, Any]) -> str:
    """`type.name` of a decoded record. Raises InvalidMessage."""
    return _text(_part(record, "type"), "type", "name")


def command_of(record: Mapping[str, Any]) -> CreateArtifactCommandMessage:
    """Checks the fields of a decoded record. Raises InvalidMessage."""
    name = message_type(record)
    if name != COMMAND_TYPE:
        raise InvalidMessage(f"unknown message type {name[:100]!r}")
    identity = _part(record, "identity")
    publisher = _part(record, "publisher")
    data = _part(_part(record, "references"), "references", "archiveData")
    payload = _part(record, "payload")
    created = identity.get("created")
    if type(created) is not int:
        raise InvalidMessage("identity.created is not an integer")
    job_id = _text(payload, "payload", "jobId")
    if _UUID.fullmatch(job_id) is None:
        raise InvalidMessage("payload.jobId is not a UUID")
    _text(record, "", "processId")
    _text(record, "", "commandVersion")
    return CreateArtifactCommandMessage(
        id=_text(identity, "identity", "id"),
        idempotence_id=_text(identity, "identity", "idempotenceId"),
        created=created,
        system=_text(publisher, "publisher", "system"),
        service=_text(publisher, "publisher", "service"),
        job_id=UUID(job_id),
        reference=Reference(_text(data, "references.archiveData", "referenceId"), _version(data)),
        message=_text(payload, "payload", "messageName"),
        topic=_text(payload, "payload", "topicName"),
    )


def run_batch_of(record: Mapping[str, Any]) -> tuple[UUID, int]:
    """Run and batch of a decoded `BackfillMetadataCommand`. Raises InvalidMessage."""
    payload = _part(record, "payload")
    run_id = _text(payload, "payload", "runId")
    if _UUID.fullmatch(run_id) is None:
        raise InvalidMessage("payload.runId is not a UUID")
    batch = payload.get("batch")
    if type(batch) is not int or not 0 <= batch <= MAX_VERSION:
        raise InvalidMessage("payload.batch is not a number of a batch")
    return UUID(run_id), batch


def _part(record: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    part = record.get(path[-1])
    if type(part) is not dict:
        raise InvalidMessage(f"{'.'.join(path)} is {'missing' if part is None else 'not an object'}")
    return part


def _text(record: Mapping[str, Any], parent: str, name: str) -> str:
    text = record.get(name)
    if type(text) is not str or not text:
        path = f"{parent}.{name}" if parent else name
        raise InvalidMessage(f"{path} is {'missing' if text is None or text == '' else 'not a text'}")
    return text


def _version(data: Mapping[str, Any]) -> int | None:
    version = data.get("referenceVersion")
    if version is None:
        return None
    if type(version) is not int:
        raise InvalidMessage("references.archiveData.referenceVersion is not an integer")
    if not 1 <= version <= MAX_VERSION:
        raise InvalidMessage("references.archiveData.referenceVersion is out of range")
    return version


def _without_logical_types(schema: Any) -> Any:
    """Longs stay longs, as in JSON; converting a crafted timestamp beyond the year 9999 would fail, too."""
    if isinstance(schema, list):
        return [_without_logical_types(item) for item in schema]
    if isinstance(schema, dict):
        return {key: _without_logical_types(item) for key, item in schema.items() if key != "logicalType"}
    return schema


def _schema_of(name: str) -> Any:
    return _without_logical_types(orjson.loads((CONTRACTS / f"{name}.avsc").read_bytes()))


_AVRO = {name: fastavro.parse_schema(_schema_of(name)) for name in (COMMAND_TYPE, RUN_COMMAND_TYPE)}

_BEGINNING = fastavro.parse_schema(
    {"type": "record", "name": "Beginning", "fields": _schema_of(COMMAND_TYPE)["fields"][:2]}
)
"""Identity and type, with which each command begins: they tell which one it is."""


def _from_avro(value: bytes) -> Mapping[str, Any]:
    name = _avro(value, _BEGINNING, "command")[0]["type"]["name"]
    if name not in _AVRO:
        raise InvalidMessage(f"unknown message type {name[:100]!r}")
    record, end = _avro(value, _AVRO[name], name)
    if end != len(value):
        raise InvalidMessage(f"framed Avro with {len(value) - end} bytes after a {name}")
    return record


def _avro(value: bytes, schema: Any, what: str) -> tuple[Mapping[str, Any], int]:
    """A record behind the frame, and where it ends."""
    body = BytesIO(value)
    body.seek(_FRAME)
    try:
        record = fastavro.schemaless_reader(body, schema, None)
    except Exception as error:  # fastavro raises whatever the bytes make it run into
        raise InvalidMessage(f"framed Avro, but not a {what}: {type(error).__name__}") from None
    return cast("Mapping[str, Any]", record), body.tell()
