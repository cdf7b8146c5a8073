"""The conditions of a search for artifacts, and the artifacts that it finds."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from app.domain.artifacts import StoredObject
from app.domain.extraction import ValueKind


class Comparison(StrEnum):
    EQ = "eq"
    NE = "ne"
    CONTAINS = "contains"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    ISNULL = "isnull"


@dataclass(frozen=True, slots=True)
class SearchCondition:
    """A condition on the value of a key.

    `texts` are the ways in which the operand may be written, as it was given first; with `number`, stored numbers are
    compared with that. `null` is the operand of `isnull`.
    """

    key: str
    operator: Comparison
    texts: tuple[str, ...] = ()
    number: Decimal | None = None
    null: bool = False


@dataclass(frozen=True, slots=True)
class Search:
    """All given conditions must hold. `archived_from` is included, `archived_to` is not."""

    message_type: str | None = None
    config_id: str | None = None
    reference_id: str | None = None
    version: int | None = None
    system: str | None = None
    schema: str | None = None
    job_id: UUID | None = None
    archived_from: datetime | None = None
    archived_to: datetime | None = None
    conditions: tuple[SearchCondition, ...] = ()
    all_versions: bool = False


class FoundValue(NamedTuple):
    """A metadata value; `json` is exact, digit by digit."""

    kind: ValueKind
    json: str


@dataclass(frozen=True, slots=True)
class FoundArtifact:
    """An artifact as it is shown."""

    id: int
    message_type: str
    config_id: str | None
    reference_id: str
    version: int | None
    object: StoredObject
    archived_at: datetime
    retain_until: datetime | None
    job_id: UUID
    metadata: Mapping[str, FoundValue]
