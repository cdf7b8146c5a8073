"""Reads messages in both encodings, whatever the settings say, and writes JSON; unreadable records are dead letters."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from app.avro.writers_schema import NotOfSchema
from app.broker.framing import FRAME, MAGIC, NO_REGISTRY, Schemas, schema_of
from app.broker.messages import COMMAND_TYPE
from app.domain.errors import InvalidMessage
from app.domain.exact_json import NumberNotKept, read_json
from app.domain.jobs import Reference
from app.domain.reference_rules import MAX_VERSION

MAX_COMMAND_BYTES = 64 * 1024
"""A command with the longest id in the costliest escaping has 13 KiB; parsing more would only feed an attacker."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


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


def decode(value: bytes | None, schemas: Schemas = NO_REGISTRY) -> Mapping[str, Any]:
    """A command, its fields unchecked: a JSON object, or a record in framed Avro.

    Raises InvalidMessage, and SchemaNeeded where the schema of the record has to be found first.
    """
    if value is None:
        raise InvalidMessage("tombstone: the record has no value")
    if len(value) > MAX_COMMAND_BYTES:
        raise InvalidMessage(f"value of {len(value)} bytes, a command has at most {MAX_COMMAND_BYTES}")
    if value[:1] == MAGIC:
        try:
            return schema_of(value, schemas).fields(value, FRAME)
        except NotOfSchema as error:
            raise InvalidMessage(f"framed Avro, but {error}") from None
    try:
        record = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise InvalidMessage(f"neither JSON nor framed Avro: {error.msg}") from None
    if type(record) is not dict:
        raise InvalidMessage("not a JSON object")
    return record


def decode_values(value: bytes, schemas: Schemas) -> Mapping[str, Any]:
    """A message of any service, with values in the form that extraction paths read. Raises InvalidMessage,
    SchemaNeeded.

    From Avro, times and dates are texts in ISO format, decimals are Decimals, bytes are base64. From JSON, a number
    that a double would change is a Decimal. One that no Decimal holds makes the message invalid.
    """
    if value[:1] == MAGIC:
        try:
            return schema_of(value, schemas).values(value, FRAME)
        except NotOfSchema as error:
            raise InvalidMessage(f"framed Avro, but {error}") from None
    try:
        record = read_json(value)
    except NumberNotKept as error:
        raise InvalidMessage(str(error)) from None
    except ValueError:
        raise InvalidMessage("neither JSON nor framed Avro") from None
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
