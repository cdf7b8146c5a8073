"""What a job waits for: a fact in its row, shared by all processes."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class WaitingFor(StrEnum):
    """The kinds of things that work may wait for."""

    SOURCE = "source"
    OBJECT_STORE = "objectstore"
    BROKER = "broker"
    SCHEMA_REGISTRY = "schema-registry"


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a job waits for.

    `name` is that of the archive type and of the OAuth client for a source, else that of the component; `reason` says
    what happened at the last try, `next_try` is None where nobody knows.
    """

    for_: WaitingFor
    name: str
    since: datetime
    reason: str
    next_try: datetime | None
