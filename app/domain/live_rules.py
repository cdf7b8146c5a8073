"""What makes an archive type live: which of its messages are archived, under which reference and with which data."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from app.domain.paths import Path

JSON = "application/json"
CONTENT_TYPE = re.compile(r"[!#$&^_.+\w-]+/[!#$&^_.+\w-]+(?: *;[ -~]*)?", re.ASCII)
PROCESS_ID = Path(("processId",))
"""Where the process id of a message is, unless a configuration says otherwise."""

Scalar = str | int | float | Decimal | bool
"""Decimal: a number that a double would change."""


@dataclass(frozen=True, slots=True)
class PythonFunction:
    """A function `package.module:function` that is called with the decoded message."""

    name: str
    call: Callable[[dict[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class ReferencePaths:
    """Where id and version of the data are in the message."""

    id: Path
    version: Path | None = None


@dataclass(frozen=True, slots=True)
class OneOf:
    """The value is one of these (`equals`, `in`); negated: it is none of them, or not there (`notEquals`)."""

    values: tuple[Scalar, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Exists:
    """Whether the value has to be there; JSON null is not there."""

    wanted: bool


@dataclass(frozen=True, slots=True)
class Matches:
    """The whole text matches a pattern of ECMA-262. `matches` raises ValueError where the engine gives up."""

    pattern: str
    matches: Callable[[str], bool] = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class MessageCondition:
    """What has to hold of the value at a path."""

    path: Path
    test: OneOf | Exists | Matches


@dataclass(frozen=True, slots=True)
class Members:
    """An object of a document template."""

    members: tuple[tuple[str, "Template"], ...]


@dataclass(frozen=True, slots=True)
class Items:
    """A list of a document template."""

    items: tuple["Template", ...]


Template = Members | Items | Path | Scalar | None
"""A value to make: paths in it are replaced by what the message has there, null where it has nothing."""


@dataclass(frozen=True, slots=True)
class PayloadRule:
    """The data that is archived, made of the message, and what describes it.

    `data` is a path (None: the whole message), a template in `NewDocument`, or a function, which may say itself what
    the schema is; only then system, schema and schema version may be None.
    """

    data: "Path | NewDocument | PythonFunction | None"
    system: str | None
    schema: str | None
    schema_version: int | None
    content_type: str = JSON


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document that is made new for each message."""

    template: Template


@dataclass(frozen=True, slots=True)
class LiveRule:
    """How the messages of one archive type configuration are archived; `payload` is None where a source has the data.

    All conditions have to hold. A live archive type that does not `announce` is archived without an event.
    """

    reference: ReferencePaths | PythonFunction
    payload: PayloadRule | None = None
    conditions: tuple[MessageCondition, ...] | PythonFunction = ()
    process_id: Path | PythonFunction = PROCESS_ID
    announce: bool = True
