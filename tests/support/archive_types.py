"""The archive types of the tests: JSON without versions and Avro with versions, both served by the scripted source."""

import base64
import json
import shutil
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import yaml

from tests.servers.fetch import REPOSITORY

REGISTRY = REPOSITORY / "contracts" / "archive-types"
OAUTH_CLIENT = "source-client"


class Message(NamedTuple):
    """A message type and its topic, as submissions name them."""

    name: str
    topic: str


OSV = Message("OsvRecordPublishedEvent", "psf-osv-record-published")
"""JSON, unversioned: system PSF, schema OsvRecord 1, 90 days."""

DECREE = Message("DecreeDocumentCreatedEvent", "demo-decree-document-created")
"""Avro, versioned: system DEMO, schema DecreeDocument 1, 365 days."""

YAML_TYPE = {"Content-Type": "application/yaml"}

DECREE_HEADERS = {
    "Content-Type": "avro/binary",
    "Archive-Data-System": "DEMO",
    "Archive-Data-Schema": "DecreeDocument",
    "Archive-Data-Schema-Version": "1",
}

Reference = tuple[str, int | None]
"""Id and version of an archive data reference."""


def write_archive_types(directory: Path, source_url: str, *, oauth: bool = True) -> dict[str, Any]:
    """Writes configurations and registry into `directory`; the settings that name them."""
    client = {"oauthClientId": OAUTH_CLIENT} if oauth else {}
    types = [
        {"messageType": OSV.name, "topic": OSV.topic, "uri": f"{source_url}/docs/{{id}}", **client},
        {
            "messageType": DECREE.name,
            "topic": DECREE.topic,
            "uri": f"{source_url}/docs/{{id}}?version={{version}}",
            **client,
        },
    ]
    (directory / "archive-types.yml").write_text(yaml.safe_dump({"archiveTypes": types}))
    shutil.copytree(REGISTRY, directory / "registry", dirs_exist_ok=True)
    return {
        "jeap.processarchive.configuration.location": str(directory / "archive-types.yml"),
        "jeap.processarchive.registry.location": str(directory / "registry"),
    }


def decree(number: str, version: int) -> bytes:
    """A valid document of the type DecreeDocument."""
    schema = json.loads((REGISTRY / "demo" / "decreedocument" / "DecreeDocument_v1.avsc").read_text())
    document = {
        "decreeNumber": number,
        "version": version,
        "issued": 20_000,
        "status": "ISSUED",
        "customer": {"id": "4711", "name": None},
        "paragraphs": ["one", "two"],
        "scan": None,
    }
    out = BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), document)
    return out.getvalue()


def decree_rule(identifier: str, content: bytes) -> dict[str, Any]:
    """A rule of the source that serves `content` as a decree."""
    return {"match": identifier, "headers": DECREE_HEADERS, "body_base64": base64.b64encode(content).decode()}


def submission(message: Message, references: Iterable[Reference], **more: Any) -> bytes:
    """The YAML of a submission; ids in double quotes, so that every one is legal."""
    lines = [f"message: {message.name}", f"topic: {message.topic}"]
    lines += [f"{key.replace('_', '-')}: {value}" for key, value in more.items()]
    lines.append("archiveDataReferences:")
    for identifier, version in references:
        lines.append(f"  - id: {json.dumps(identifier, ensure_ascii=False)}")
        if version is not None:
            lines.append(f"    version: {version}")
    return ("\n".join(lines) + "\n").encode()


def unversioned(*identifiers: str) -> list[Reference]:
    return [(identifier, None) for identifier in identifiers]
