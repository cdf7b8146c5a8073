"""Makes live archive type configurations of a few lines of YAML, as the service reads them."""

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from app.catalog.archive_types import load_archive_types
from app.domain.archive_types import ArchiveTypeConfiguration, SchemaName
from app.domain.live import WantedArtifact
from app.live.decide import decide

MESSAGE: dict[str, Any] = {
    "identity": {"idempotenceId": "i-1"},
    "type": {"name": "M", "version": "1.0.0"},
    "references": {"decree": {"id": "D-1", "version": 3}},
    "payload": {"kind": "final", "amount": 1.5, "items": [{"id": 1}, {}, {"id": 3}], "none": None},
    "processId": "P-1",
}
REFERENCE = "reference: {id: references.decree.id}"
PAYLOAD = "payload: {system: S, schema: T, schemaVersion: 2}"
URI = "uri: 'https://x.example/{id}'"


@cache
def configuration(*keys: str) -> ArchiveTypeConfiguration:
    """With a reference and the whole message as its data, as far as `keys` do not say otherwise."""
    names = {key.split(":")[0] for key in keys}
    default = ([] if "reference" in names else [REFERENCE]) + ([] if names & {"payload", "uri"} else [PAYLOAD])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "types.yml")
        lines = "".join(f"    {key}\n" for key in [*default, *keys])
        file.write_text(f"archiveTypes:\n  - messageType: M\n    topic: t\n{lines}")
        (found,) = load_archive_types(file, (), False).configurations
    return found


def no_avro(schema: SchemaName, value: Any) -> bytes:
    raise ValueError(f"nothing is encoded with {schema}, not even a {type(value).__name__}")


def decided(*keys: str, message: dict[str, Any] | None = None) -> WantedArtifact | None:
    return decide(configuration(*keys), MESSAGE if message is None else message, no_avro)


def wanted(*keys: str, message: dict[str, Any] | None = None) -> WantedArtifact:
    found = decided(*keys, message=message)
    assert found is not None
    return found
