"""Tasks that came of messages: what a task keeps of its message, and new ones as they are inserted."""

from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from app.domain.archive_types import SchemaName
from app.domain.jobs import Reference


class PayloadDescription(NamedTuple):
    """A document that was in the message; `size` in bytes."""

    content_type: str
    schema: SchemaName
    size: int


def trace_of_message(traceparent: str | None) -> str | None:
    """The trace id of the valid `traceparent` of a message; None where it had none."""
    return None if traceparent is None else traceparent[3:35]


@dataclass(frozen=True, slots=True)
class Origin:
    """What a task keeps of the message that it came of.

    `key` is that of `domain.identity.live_task_key`, `reference` what the message names, `message_id` the idempotence
    id of the message. `payload` is None when the document has to be fetched. `announced`: whether an event tells that
    it was archived.
    """

    key: UUID
    reference: Reference
    message_id: str
    process_id: str | None = None
    traceparent: str | None = None
    announced: bool = True
    payload: PayloadDescription | None = None


@dataclass(frozen=True, slots=True)
class NewLiveTask:
    """A task to be inserted into the present job of its archive type. `content` is the document of the message."""

    archive_type: str
    message_type: str
    topic: str
    config_id: str | None
    subject: UUID
    origin: Origin
    content: bytes | None = None
