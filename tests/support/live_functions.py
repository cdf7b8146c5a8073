"""Python functions of live archive types, as operators write them; the service of the tests imports them."""

import json
from typing import Any


def reference(message: dict[str, Any]) -> dict[str, Any]:
    return {"id": f"N-{message['references']['decree']['id']}"}


def is_wanted(message: dict[str, Any]) -> bool:
    return bool(message["payload"].get("notice"))


def process(message: dict[str, Any]) -> str:
    return f"{message['processId']}/notice"


def payload(message: dict[str, Any]) -> dict[str, Any]:
    """The text of the notice says which version of the schema it has."""
    text = message["payload"]["notice"]
    document = {"id": "x_notice", "modified": "2026-01-01T00:00:00Z", "details": text}
    content = json.dumps(document, indent=1).encode()
    return {"content": content, "system": "PSF", "schema": "OsvRecord", "schemaVersion": 2 if "v2" in text else 1}
