"""What a job waits for; kept in its row, so that all processes show the same."""

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

    `name` is the message type for a source (`<type>/<config id>` where that has several configurations), else the name
    of the component. `reason` is the failure of the last try. `next_try` is None when its time is not known.
    """

    for_: WaitingFor
    name: str
    since: datetime
    reason: str
    next_try: datetime | None
