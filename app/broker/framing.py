"""Framed Avro as Confluent defines it: a zero byte, the id of the writer's schema in four bytes, the record."""

from io import BytesIO
from typing import Any, Protocol, cast

import fastavro
import orjson

from app import shipped
from app.avro.check import PRIMITIVES
from app.avro.writers_schema import NotOfSchema, WritersSchema
from app.broker.messages import COMMAND_TYPE, RUN_COMMAND_TYPE
from app.domain.errors import InvalidMessage

CONTRACTS = shipped.FILES / "contracts" / "messages"

MAGIC = b"\0"
FRAME = 5
"""Bytes before the record."""

NO_REGISTRY_TEXT = "no schema registry is configured (jeap.messaging.kafka.schema-registry-url)"


class SchemaNeeded(Exception):
    """The record cannot be decoded before `Schemas.find` has found the schema with this id."""

    def __init__(self, schema_id: int) -> None:
        super().__init__(f"schema {schema_id} is not known yet")
        self.schema_id = schema_id


class Schema(Protocol):
    """The schema that a record was written with. Both methods raise NotOfSchema."""

    def fields(self, message: bytes, start: int) -> dict[str, Any]:
        """The fields in the form of our own messages: times are numbers."""

    def values(self, message: bytes, start: int) -> dict[str, Any]:
        """The values in the form that extraction paths read: times are texts in ISO format."""


class Schemas(Protocol):
    """The schemas of received messages by id: those of a registry, or `NO_REGISTRY`."""

    def known(self, schema_id: int) -> Schema | None:
        """The schema; None when `find` must be called first. Raises InvalidMessage."""

    async def find(self, schema_id: int) -> Schema:
        """The schema, from the registry when it is not known yet. Raises InvalidMessage, Unavailable."""


def schema_of(value: bytes, schemas: Schemas) -> Schema:
    """The schema of a framed record. Raises InvalidMessage, SchemaNeeded."""
    if len(value) < FRAME:
        raise InvalidMessage("framed Avro without the id of a schema")
    schema_id = int.from_bytes(value[1:FRAME], "big")
    schema = schemas.known(schema_id)
    if schema is None:
        raise SchemaNeeded(schema_id)
    return schema


def contract(record: str) -> bytes:
    """The schema of one of our messages in the form that is registered: compact, keys in the order of the Java
    library."""
    return orjson.dumps(orjson.loads((CONTRACTS / f"{record}.avsc").read_bytes()))


def plain(schema: Any) -> Any:
    """The schema with each primitive type written as its name alone, which fastavro handles faster.

    Without logical types a long stays a number, as in JSON; a crafted timestamp beyond the year 9999 could not be
    converted.
    """
    if isinstance(schema, list):
        return [plain(item) for item in schema]
    if isinstance(schema, dict):
        if schema.get("type") in PRIMITIVES and "name" not in schema:
            return schema["type"]
        return {key: plain(item) for key, item in schema.items()}
    return schema


def _schema_of(name: str) -> Any:
    return plain(orjson.loads(contract(name)))


_OURS = {name: WritersSchema([contract(name)]) for name in (COMMAND_TYPE, RUN_COMMAND_TYPE)}

_BEGINNING = fastavro.parse_schema(
    {"type": "record", "name": "Beginning", "fields": _schema_of(COMMAND_TYPE)["fields"][:2]}
)
"""Identity and type, the first fields of each command: the type names the command."""


class _OurSchemas:
    """Used without a registry: commands are read with our own schema of the type that they name."""

    def known(self, _schema_id: int) -> Schema:
        return self

    async def find(self, _schema_id: int) -> Schema:
        return self

    def fields(self, message: bytes, start: int) -> dict[str, Any]:
        name = _beginning(message, start)["type"]["name"]
        if name not in _OURS:
            raise InvalidMessage(f"unknown message type {name[:100]!r}")
        try:
            return _OURS[name].fields(message, start)
        except NotOfSchema as error:
            raise NotOfSchema(f"{error}; {NO_REGISTRY_TEXT}") from None

    def values(self, message: bytes, start: int) -> dict[str, Any]:
        raise InvalidMessage(f"framed Avro, and {NO_REGISTRY_TEXT}")


NO_REGISTRY: Schemas = _OurSchemas()


def _beginning(message: bytes, start: int) -> dict[str, Any]:
    """What the command that begins at `start` begins with; the rest of it is not looked at."""
    body = BytesIO(message)
    body.seek(start)
    try:
        return cast("dict[str, Any]", fastavro.schemaless_reader(body, _BEGINNING, None))
    except Exception as error:  # fastavro raises whatever the bytes make it run into
        raise NotOfSchema(f"not a command: {type(error).__name__}; {NO_REGISTRY_TEXT}") from None
