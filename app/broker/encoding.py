"""Encodes our messages: as JSON, or as framed Avro with the schema id of the schema registry."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any, Protocol

import fastavro
import orjson

from app.broker.codec import encode
from app.broker.framing import MAGIC, contract, plain
from app.broker.registry import SchemaRegistry


class Encoder(Protocol):
    """Encodes the messages of one type for one topic. Call `prepare` before the first `encode`."""

    @property
    def is_ready(self) -> bool:
        """Whether messages can be encoded without a further `prepare`."""

    async def prepare(self) -> None:
        """Returns once messages can be encoded. Raises Unavailable."""

    def encode(self, message: Mapping[str, Any]) -> bytes: ...


class JsonEncoder:
    """Compact UTF-8 JSON."""

    is_ready = True

    async def prepare(self) -> None: ...

    def encode(self, message: Mapping[str, Any]) -> bytes:
        return encode(message)


JSON = JsonEncoder()


class AvroEncoder:
    """Framed Avro. The subject is `<topic>-<full name of the record>`, as in the Java service, so both get the same
    ids."""

    def __init__(self, registry: SchemaRegistry, topic: str, record: str) -> None:
        """`record` names a schema of contracts/messages."""
        self._registry = registry
        self._registered = contract(record)
        schema = orjson.loads(self._registered)
        self.subject = f"{topic}-{schema['namespace']}.{schema['name']}"
        self._schema = fastavro.parse_schema(plain(schema))
        self._frame: bytes | None = None

    @property
    def is_ready(self) -> bool:
        return self._frame is not None

    async def prepare(self) -> None:
        if self._frame is None:
            found = await self._registry.id_of(self.subject, self._registered)
            self._frame = MAGIC + found.to_bytes(4, "big")

    def encode(self, message: Mapping[str, Any]) -> bytes:
        assert self._frame is not None  # noqa: S101 - `prepare` comes first
        out = BytesIO()
        out.write(self._frame)
        fastavro.schemaless_writer(out, self._schema, message)
        return out.getvalue()


class Encoding:
    """Makes all encoders. Without a registry messages are JSON."""

    def __init__(self, registry: SchemaRegistry | None = None) -> None:
        self._registry = registry
        self._made: list[Encoder] = []
        self._of_tasks: list[Encoder] = []

    def of(self, topic: str, record: str, *, of_tasks: bool = False) -> Encoder:
        """The encoder of the messages `record` on a topic; keys have their own encoder. `of_tasks`: no task can be
        archived without these messages."""
        if self._registry is None:
            return JSON
        encoder = AvroEncoder(self._registry, topic, record)
        self._made.append(encoder)
        if of_tasks:
            self._of_tasks.append(encoder)
        return encoder

    def holds_tasks(self) -> bool:
        """Whether tasks wait because a message about them cannot be encoded yet."""
        return not all(encoder.is_ready for encoder in self._of_tasks)

    async def prepare(self) -> None:
        """Prepares all encoders that were made. Raises Unavailable."""
        for encoder in self._made:
            await encoder.prepare()
