"""What the Java service 15.0.1 really sent, as records with key, headers, bytes and decoded value."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any


def commands() -> list[dict[str, Any]]:
    return _records("command.json", "CreateArtifactCommand")


def events() -> list[dict[str, Any]]:
    return _records("event.json", None)


def value_of(record: dict[str, Any]) -> dict[str, Any]:
    """The decoded value with `created` in epoch milliseconds, as both encodings have it."""
    value: dict[str, Any] = json.loads(json.dumps(record["value"]["json"]))
    created = datetime.fromisoformat(value["identity"]["created"])
    value["identity"]["created"] = round(created.timestamp() * 1000)
    return value


def _records(file: str, topic: str | None) -> list[dict[str, Any]]:
    records = json.loads((Path(__file__).parent / file).read_text())
    found: list[dict[str, Any]] = records[topic] if topic else next(iter(records.values()))
    return found


def schemas_registered() -> dict[int, Any]:
    """The schemas of commands, keys and events by the ids that the registry gave them."""
    schemas = json.loads((Path(__file__).parent / "schemas-registered.json").read_text())
    return {int(number): schema for number, schema in schemas.items()}
