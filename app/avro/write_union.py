"""Finds the type of a union that keeps a value: the value says only what it is, not of which type it was."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from app.avro.check import AvroMismatch
from app.avro.values import logical_reader
from app.avro.write_values import keeps, long_bytes


@dataclass(slots=True)
class Out:
    """What is written; and what came of parts that several types of a union could be, so that each is tried once."""

    data: bytearray = field(default_factory=bytearray)
    tried: dict[tuple[int, int, int], bytes | AvroMismatch] = field(default_factory=dict)


Write = Callable[[Any, Out, int], None]
"""(value, what is written, depth left). Raises AvroMismatch."""

_NATURAL: dict[type, tuple[str, ...]] = {
    bool: ("boolean",),
    int: ("int", "long"),
    float: ("float", "double"),
    Decimal: ("decimal",),
    str: ("string", "enum", "time", "uuid"),
    list: ("array",),
    dict: ("record", "error", "map"),
    type(None): ("null",),
}
"""The kinds of types that are tried first for a value; all others only after them, so that no text becomes bytes."""

_WRITTEN_IN_MANY_WAYS = ("time", "uuid")


def union_writer(branches: Sequence[tuple[Mapping[str, Any], Write]]) -> Write:
    """The writer of a union of these types, each with its schema."""
    return _Union(branches).write


def _kind(schema: Mapping[str, Any]) -> str:
    kind, logical = str(schema["type"]), schema.get("logicalType")
    if kind in ("bytes", "fixed"):
        return "decimal" if logical == "decimal" else "uuid" if (logical, kind) == ("uuid", "fixed") else "base64"
    return "time" if logical_reader(kind, logical) is not None else kind


class _Union:
    def __init__(self, branches: Sequence[tuple[Mapping[str, Any], Write]]) -> None:
        self.branches = branches
        self.kinds = [_kind(schema) for schema, _ in branches]
        self.natural = {
            of: [place for place, kind in enumerate(self.kinds) if kind in kinds] for of, kinds in _NATURAL.items()
        }
        self.plans = {of: self._plan(first) for of, first in self.natural.items()}
        self.not_null = [place for place, kind in enumerate(self.kinds) if kind != "null"]

    def _plan(self, first: list[int]) -> list[tuple[int, bool]]:
        """Which types are tried, in which order, and whether the value must read as the very same."""
        others = [place for place in range(len(self.kinds)) if place not in first]
        again = [place for place, kind in enumerate(self.kinds) if kind in _WRITTEN_IN_MANY_WAYS]
        return [(place, True) for place in (*first, *others)] + [(place, False) for place in again]

    def write(self, value: Any, out: Out, depth: int) -> None:
        of = (
            type(value)
            if type(value) in _NATURAL
            else next((each for each in _NATURAL if isinstance(value, each)), str)
        )
        errors = {}
        for place, exact in self.plans[of]:
            error = self._once(place, value, out, depth, exact=exact)
            if error is None:
                return
            errors[place] = error
        meant = self.natural[of] or ([] if value is None else self.not_null)
        raise errors[meant[0]] if len(meant) == 1 else AvroMismatch("must be one of the types of the union")

    def _once(self, place: int, value: Any, out: Out, depth: int, *, exact: bool) -> AvroMismatch | None:
        """What is wrong with the value for this type; None: it is written.

        Objects and lists are tried once only where there is a choice: the types around them would each try them again,
        and those around these, so that the time would grow with every level.
        """
        if not isinstance(value, dict | list) or len(self.not_null) == 1:
            return self._attempt(place, value, out, depth, exact=exact)
        key = (id(value), id(self), place)
        found = out.tried.get(key)
        if isinstance(found, AvroMismatch):
            return found
        if found is not None:
            out.data += found
            return None
        start = len(out.data)
        error = self._attempt(place, value, out, depth, exact=exact)
        out.tried[key] = bytes(out.data[start:]) if error is None else error
        return error

    def _attempt(self, place: int, value: Any, out: Out, depth: int, *, exact: bool) -> AvroMismatch | None:
        schema, write = self.branches[place]
        start = len(out.data)
        out.data += long_bytes(place)
        inside = len(out.data)
        try:
            write(value, out, depth)
        except AvroMismatch as error:
            del out.data[start:]
            return error
        if exact and self.kinds[place] in _WRITTEN_IN_MANY_WAYS and not keeps(schema, value, bytes(out.data[inside:])):
            del out.data[start:]
            return AvroMismatch("must be written as it is read")
        return None
