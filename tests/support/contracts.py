"""The JSON Schemas of the messages, applied to what was really sent."""

import json
from functools import lru_cache
from typing import Any

import jsonschema

from tests.servers.fetch import REPOSITORY


def assert_fits(message: str, document: Any) -> None:
    """`message` is the name of a schema in contracts/messages."""
    _validator(message).validate(document)


@lru_cache
def _validator(message: str) -> Any:
    schema = json.loads((REPOSITORY / "contracts" / "messages" / f"{message}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)
