"""What is to be archived of a message, as the live flow decided it."""

from dataclasses import dataclass, field

from app.domain.archive_types import SchemaName
from app.domain.jobs import Reference


@dataclass(frozen=True, slots=True)
class Payload:
    """The data of a message that carries it, as it is archived."""

    content: bytes = field(repr=False)
    content_type: str
    schema: SchemaName


@dataclass(frozen=True, slots=True)
class WantedArtifact:
    """A message that is to be archived for one configuration.

    `process_id` is None where the message has none. `payload` is None where the source of the configuration has the
    data. `announce`: whether an event follows.
    """

    reference: Reference
    process_id: str | None
    payload: Payload | None
    announce: bool = True
