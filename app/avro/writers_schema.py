"""The schema that a message was written with: makes a reader of such messages from the schemas of a registry."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson
from fastavro import schemaless_reader

from app.avro.check import PRIMITIVES, compile_check, parse_types
from app.avro.values import schema_of_values


class NotOfSchema(ValueError):
    """The bytes are not a value of the schema; the text holds no value."""


class WritersSchema:
    """Reads messages that were written with one schema, which is that of a record.

    `name` is the full name of the record. Values are those of `compile_avro_values`. A record may be read only as it
    is: nothing is resolved against a schema of ours, as messages are read by the names of their fields.
    """

    def __init__(self, texts: Sequence[str | bytes]) -> None:
        """`texts`: the schemas that are referred to, each before the schema that needs it; the schema itself is the
        last.

        Raises ValueError with the reason for what is no Avro schema of a record.
        """
        named: dict[str, Any] = {}
        schema: Any = None
        for text in texts:
            schema = parse_types(orjson.loads(text), named)
        if not isinstance(schema, dict) or schema.get("type") != "record":
            raise ValueError("the schema is not that of a record")
        self.name: str = schema["name"]
        try:
            self._values = schema_of_values(self.name, named)
            self._numbers = schema_of_values(self.name, named, logical=False)
            # What may hold itself is walked through before it is read: else only the bytes limit its depth.
            self._check = compile_check(self.name, named) if _holds_itself(self.name, named) else None
        except RecursionError:
            raise ValueError("the schema is nested too deeply") from None
        if self._values is None or self._numbers is None:
            raise ValueError("the schema has lists of items that take no bytes")

    def values(self, message: bytes, start: int) -> dict[str, Any]:
        """The record that begins at `start`, in the form that extraction paths read. Raises NotOfSchema."""
        return self._read(message, start, self._values)

    def fields(self, message: bytes, start: int) -> dict[str, Any]:
        """The same record, with dates, times and timestamps as numbers. Raises NotOfSchema."""
        return self._read(message, start, self._numbers)

    def _read(self, message: bytes, start: int, schema: Any) -> dict[str, Any]:
        body = io.BytesIO(message)
        body.seek(start)
        if self._check is not None and (mismatch := self._check(message[start:])) is not None:
            raise NotOfSchema(f"not a {self.name}: {mismatch}")
        try:
            record = cast("dict[str, Any]", schemaless_reader(body, schema, None))
        except Exception as error:  # fastavro raises whatever the bytes make it run into
            raise NotOfSchema(f"not a {self.name}: {type(error).__name__}") from None
        if body.tell() != len(message):
            raise NotOfSchema(f"{len(message) - body.tell()} bytes after a {self.name}")
        return record


def _holds_itself(name: str, named: Mapping[str, Any]) -> bool:
    """Whether a type is recursive: a value of it may contain another value of it."""
    done: set[str] = set()

    def visit(schema: Any, inside: frozenset[str]) -> bool:
        if isinstance(schema, list):
            return any(visit(each, inside) for each in schema)
        if isinstance(schema, dict):
            kind = schema["type"]
            if "name" in schema:
                return visit(schema["name"], inside)
            return visit(schema.get("items") or schema.get("values") or kind, inside)
        if schema in PRIMITIVES or schema in done:
            return False
        if schema in inside:
            return True
        found = any(visit(field["type"], inside | {schema}) for field in named[schema].get("fields", ()))
        done.add(schema)
        return found

    return visit(name, frozenset())
