"""The schema that a message was written with: makes a reader of such messages from the schemas of a registry."""

import io
from collections.abc import Sequence
from typing import Any, cast

import orjson
from fastavro import schemaless_reader

from app.avro.check import compile_check, parse_types
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
        try:
            for text in texts:
                schema = parse_types(_as_writers_use_it(orjson.loads(text)), named)
        except RecursionError:
            raise ValueError("the schema is nested too deeply") from None
        if not isinstance(schema, dict) or schema.get("type") != "record":
            raise ValueError("the schema is not that of a record")
        self.name: str = schema["name"]
        try:
            self._values = schema_of_values(self.name, named)
            self._numbers = schema_of_values(self.name, named, logical=False)
            # fastavro reads over negative places of enums and unions, lists of nothing and any depth.
            self._check = compile_check(self.name, named)
        except RecursionError:
            raise ValueError("the schema is nested too deeply") from None
        if self._values is None or self._numbers is None:
            raise ValueError("the schema is not one that can be read")

    def values(self, message: bytes, start: int) -> dict[str, Any]:
        """The record that begins at `start`, in the form that extraction paths read. Raises NotOfSchema."""
        return self._read(message, start, self._values)

    def fields(self, message: bytes, start: int) -> dict[str, Any]:
        """The same record, with dates, times and timestamps as numbers. Raises NotOfSchema."""
        return self._read(message, start, self._numbers)

    def _read(self, message: bytes, start: int, schema: Any) -> dict[str, Any]:
        mismatch = self._check(message[start:])
        if mismatch is not None:
            raise NotOfSchema(f"not a {self.name}: {mismatch}")
        body = io.BytesIO(message)
        body.seek(start)
        try:
            return cast("dict[str, Any]", schemaless_reader(body, schema, None))
        except Exception as error:  # of fastavro, for what the check accepts: not known
            raise NotOfSchema(f"not a {self.name}: {type(error).__name__}") from None


def _as_writers_use_it(schema: Any) -> Any:
    """Without what is for readers of another schema: who registered it may never have checked its defaults, as older
    libraries did not, and no byte depends on them."""
    if isinstance(schema, list):
        return [_as_writers_use_it(each) for each in schema]
    if isinstance(schema, dict):
        return {key: _as_writers_use_it(each) for key, each in schema.items() if key not in ("default", "aliases")}
    return schema
