"""Live archive types on real servers: their configuration, their messages in both encodings, and ids computed anew."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any
from uuid import uuid4

import avro.io
import avro.schema
import yaml

from tests.servers import Registry
from tests.servers.source import Source
from tests.support.archive import Archive
from tests.support.archive_types import OAUTH_CLIENT, OSV
from tests.support.records import Headers, write_topic
from tests.support.service import Service

DECREE_ISSUED = "DecreeIssuedEvent"
FUNCTIONS = "tests.support.live_functions"

DECREE_STATUS = {"type": "enum", "name": "Status", "symbols": ["DRAFT", "ISSUED", "REVOKED"]}
SCHEMA: dict[str, Any] = {
    "type": "record",
    "name": DECREE_ISSUED,
    "namespace": "org.example.live",
    "fields": [
        {"name": "identity", "type": {"type": "record", "name": "Identity", "fields": [
            {"name": "id", "type": "string"},
            {"name": "idempotenceId", "type": "string"},
            {"name": "created", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        ]}},
        {"name": "type", "type": {"type": "record", "name": "Type", "fields": [
            {"name": "name", "type": "string"}, {"name": "version", "type": "string"},
        ]}},
        {"name": "references", "type": {"type": "record", "name": "References", "fields": [
            {"name": "decree", "type": {"type": "record", "name": "DecreeReference", "fields": [
                {"name": "id", "type": "string"}, {"name": "version", "type": "int"},
            ]}},
        ]}},
        {"name": "payload", "type": {"type": "record", "name": "Payload", "fields": [
            {"name": "when", "type": "string"},
            {"name": "advisory", "type": ["null", "string"], "default": None},
            {"name": "notice", "type": ["null", "string"], "default": None},
            {"name": "decree", "type": {"type": "record", "name": "Decree", "fields": [
                {"name": "decreeNumber", "type": "string"},
                {"name": "version", "type": "int"},
                {"name": "issued", "type": {"type": "int", "logicalType": "date"}},
                {"name": "status", "type": DECREE_STATUS},
                {"name": "customer", "type": {"type": "record", "name": "Customer", "fields": [
                    {"name": "id", "type": "string"}, {"name": "name", "type": ["null", "string"], "default": None},
                ]}},
                {"name": "paragraphs", "type": {"type": "array", "items": "string"}},
                {"name": "scan", "type": ["null", "bytes"], "default": None},
            ]}},
        ]}},
        {"name": "processId", "type": ["null", "string"], "default": None},
    ],
}  # fmt: skip
"""The message of the test as Avro; its payload is a decree as the archive data schema DEMO/DecreeDocument has it."""


def decree_types(topic: str) -> list[dict[str, Any]]:
    """Three artifacts of a message: Avro of a path, JSON of a template and not announced, and what Python says."""
    common = {"messageType": DECREE_ISSUED, "topic": topic}
    return [
        {
            **common,
            "id": "decree",
            "reference": {"id": "references.decree.id", "version": "references.decree.version"},
            "payload": {
                "path": "payload.decree",
                "system": "DEMO",
                "schema": "DecreeDocument",
                "schemaVersion": 1,
                "contentType": "avro/binary",
            },
            "metadata_extraction_paths": [{"key": "customer_id", "path": "customer.id"}],
        },
        {
            **common,
            "id": "summary",
            "reference": {"id": "references.decree.id"},
            "condition": [
                {"path": "payload.decree.status", "in": ["ISSUED", "REVOKED"]},
                {"path": "payload.advisory", "exists": True},
            ],
            "announce": False,
            "payload": {
                "document": {
                    "id": "$.payload.advisory",
                    "modified": "$.payload.when",
                    "summary": "$.payload.decree.paragraphs[0]",
                    "aliases": ["$.payload.decree.customer.id", "fixed"],
                },
                "system": "PSF",
                "schema": "OsvRecord",
                "schemaVersion": 1,
            },
        },
        {
            **common,
            "id": "notice",
            "reference": {"python": f"{FUNCTIONS}:reference"},
            "condition": {"python": f"{FUNCTIONS}:is_wanted"},
            "payload": {"python": f"{FUNCTIONS}:payload"},
            "processId": {"python": f"{FUNCTIONS}:process"},
        },
    ]


def advisory_type(topic: str, source: Source) -> dict[str, Any]:
    """Fetched from the source; for both flows."""
    return {
        "messageType": OSV.name,
        "topic": topic,
        "uri": source.uri,
        "oauthClientId": OAUTH_CLIENT,
        "reference": {"id": "payload.advisory"},
    }


def write_types(archive: Archive, types: Iterable[Mapping[str, Any]]) -> None:
    """Replaces the file of the archive types at once, as a deployment does."""
    file = archive.directory / "archive-types.yml"
    new = file.with_suffix(".new")
    new.write_text(yaml.safe_dump({"archiveTypes": list(types)}))
    new.replace(file)


def envelope(message_type: str, message_id: str, process_id: str | None = None) -> dict[str, Any]:
    return {
        "identity": {"id": str(uuid4()), "idempotenceId": message_id, "created": "2026-01-01T00:00:00Z"},
        "type": {"name": message_type, "version": "1.0.0"},
        **({} if process_id is None else {"processId": process_id}),
    }


def advisory(message_id: str, reference: str, **changes: Any) -> bytes:
    """The JSON of a message that names an advisory."""
    return json.dumps({**envelope(OSV.name, message_id), "payload": {"advisory": reference}, **changes}).encode()


def decree_issued(message_id: str, number: str, version: int, **changes: Any) -> dict[str, Any]:
    """The values of a message with a decree; `changes`: status, text, advisory, notice, process_id."""
    return {
        **envelope(DECREE_ISSUED, message_id),
        "references": {"decree": {"id": number, "version": version}},
        "payload": {
            "when": "2026-01-01T00:00:00Z",
            "advisory": changes.get("advisory", f"x_{number}"),
            "notice": changes.get("notice"),
            "decree": {
                "decreeNumber": number,
                "version": version,
                "issued": "2024-10-04",
                "status": changes.get("status", "ISSUED"),
                "customer": {"id": "4711", "name": None},
                "paragraphs": [changes.get("text", "one"), "two"],
                "scan": "c2Nhbg==",
            },
        },
        "processId": changes.get("process_id", f"process of {message_id}"),
    }


def as_avro(message: Mapping[str, Any]) -> dict[str, Any]:
    """The same message with the values that Avro has for them."""
    decree = {**message["payload"]["decree"], "issued": 20_000, "scan": b"scan"}
    return {
        **message,
        "identity": {**message["identity"], "created": 1_767_225_600_000},
        "payload": {**message["payload"], "decree": decree},
    }


def framed(schema_id: int, message: Mapping[str, Any]) -> bytes:
    """Written by Apache's library and not by the codec of the service. Dates and times are given as numbers."""
    plain = json.loads(
        json.dumps(SCHEMA), object_hook=lambda found: {k: v for k, v in found.items() if k != "logicalType"}
    )
    out = BytesIO()
    avro.io.DatumWriter(avro.schema.make_avsc_object(plain)).write(as_avro(message), avro.io.BinaryEncoder(out))
    return b"\0" + schema_id.to_bytes(4, "big") + out.getvalue()


class ReaderByApache:
    """Reads framed records with Apache's library and the schemas of the registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._schemas: dict[bytes, avro.schema.Schema] = {}

    def read(self, record: bytes | None) -> tuple[str, Any]:
        """Name of the record, and its value."""
        assert record is not None
        assert record[:1] == b"\0"
        named = record[1:5]
        if named not in self._schemas:
            found = self._registry.request("GET", f"/schemas/ids/{int.from_bytes(named, 'big')}")
            self._schemas[named] = avro.schema.parse(found["schema"])
        schema = self._schemas[named]
        assert isinstance(schema, avro.schema.NamedSchema)
        return schema.fullname, datum(schema, record[5:])


def datum(schema: avro.schema.Schema, content: bytes) -> Any:
    """The value; nothing is behind it."""
    body = BytesIO(content)
    value = avro.io.DatumReader(schema).read(avro.io.BinaryDecoder(body))
    assert body.read() == b""
    return value


def artifact_id(message_type: str, message_id: str, system: str, schema: str, *reference: str | int) -> str:
    """The idempotence id of contract section 8, written down from its text."""
    parts = [message_id, system, schema, *map(str, reference)]
    text = "".join(f"{len(part) + sum(ord(letter) > 0xFFFF for letter in part)}:{part}" for part in parts)
    return f"{message_type}_{hashlib.sha256(text.encode()).hexdigest()}"


def send(archive: Archive, topic: str, partition: int, *values: bytes | None, headers: Headers | None = None) -> None:
    write_topic(archive.kafka, topic, [(b"k", value, headers or []) for value in values], partition)


def live_jobs(service: Service) -> dict[str, dict[str, Any]]:
    """The live jobs by `<message>` or `<message>/<config id>`; retries are left out."""
    answer = service.api("GET", "/api/jobs?kind=live&limit=100")
    assert answer.status_code == 200, answer.text
    return {
        job["message"] + (f"/{job['configId']}" if job["configId"] else ""): job
        for job in answer.json()["items"]
        if job["retryOf"] is None
    }


def wait_live(service: Service, name: str, seconds: float = 60, **counts: int) -> dict[str, Any]:
    """Waits until the counts of the live job are these; the job then."""

    def is_so() -> bool:
        job = live_jobs(service).get(name)
        return job is not None and counts.items() <= job["counts"].items()

    service.wait(f"{counts} of {name}, last {live_jobs(service).get(name, {}).get('counts')}", is_so, seconds)
    return live_jobs(service)[name]
