"""Finds the handler of a record by its message type; skips records for other services; all others are dead letters."""

import logging
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from app.broker import Partition, Record
from app.broker.codec import decode, message_type
from app.broker.framing import NO_REGISTRY, SchemaNeeded, Schemas
from app.domain.errors import InvalidMessage
from app.messaging.work import Work

TARGET_HEADER = "jeap_eh_target_service"
"""A record with this header is meant for the services that it names."""

log = logging.getLogger(__name__)


class Received(NamedTuple):
    """A decoded message, its fields unchecked, and the `traceparent` header of its record."""

    message: Mapping[str, Any]
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The record needs nothing, or nothing more."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """The record can never be handled, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Undecoded:
    """The record cannot be decoded yet: the schema that it was written with has to be found first."""

    schema_id: int


Answer = Acknowledged | DeadLetter | Work


class Handler(Protocol):
    async def receive(self, messages: Sequence[Received]) -> Sequence[Answer]:
        """The answers for decoded messages of its type, in order. Waits through outages; cancel it to give up."""


class Dispatcher:
    """`handlers` by message type name (`type.name`); `service` is the name of this service in the target header."""

    def __init__(self, handlers: Mapping[str, Handler], service: str, schemas: Schemas = NO_REGISTRY) -> None:
        self._handlers = handlers
        self._service = service.encode()
        self._schemas = schemas

    async def receive(self, records: Sequence[Record]) -> list[Answer | Undecoded]:
        """See `consumer.Receiver`."""
        answers: list[Answer | Undecoded | None] = [None] * len(records)
        by_type: dict[str, list[tuple[int, Received]]] = {}
        for place, record in enumerate(records):
            if is_for_another(record, self._service):
                answers[place] = Acknowledged()
                continue
            try:
                message = decode(record.value, self._schemas)
                name = message_type(message)
                if name not in self._handlers:
                    raise InvalidMessage(f"unknown message type {name[:100]!r}")
            except InvalidMessage as invalid:
                answers[place] = DeadLetter(str(invalid))
            except SchemaNeeded as needed:
                answers[place] = Undecoded(needed.schema_id)
            else:
                by_type.setdefault(name, []).append((place, Received(message, record.traceparent)))
        for name, messages in by_type.items():
            received = await self._handlers[name].receive([message for _, message in messages])
            for (place, _), answer in zip(messages, received, strict=True):
                answers[place] = answer
        return [answer for answer in answers if answer is not None]

    def revoked(self, partitions: Sequence[Partition]) -> None:
        """Nothing is kept of partitions."""

    def on_hold(self) -> Set[Partition]:
        """None: a command does not wait for the one before it."""
        return frozenset()


def is_for_another(record: Record, service: bytes) -> bool:
    """Whether the record names other services, and not this one. A header without a value names nobody."""
    named = [value for name, value in record.headers if name == TARGET_HEADER and value and value.strip()]
    return bool(named) and service not in named
