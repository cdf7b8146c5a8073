"""Reads Avro documents into plain values, in the form of JSON. Only for documents that their schema's check accepts.

fastavro reads, from a copy of the schema in which each logical type is replaced by one of ours: its own readers raise
on a date beyond the year 9999, and one such field must not cost the others.
"""

import base64
import io
import struct
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from fastavro import parse_schema, schemaless_reader
from fastavro.read import LOGICAL_READERS
from fastavro.schema import SchemaParseException, UnknownType

from app.avro.check import PRIMITIVES, read_types

EPOCH = datetime(1970, 1, 1)
"""In UTC, or a local time of an unknown zone."""
PREFIX = "pas-"
"""Of our logical types: fastavro has one register of readers for the whole process."""

SECOND = {"millis": 1_000, "micros": 1_000_000, "nanos": 1_000_000_000}


def compile_avro_values(root: Any, type_name: str) -> Callable[[bytes], Any] | None:
    """A reader `document → value` for the record named like the type; `root` is a schema `compile_avro` accepts.

    Text of dates, times and timestamps is ISO 8601 with as many digits as the type has (`…T10:15:30.123Z`, local
    ones without Z), decimals are Decimals, bytes and fixed base64; a union is the value of its branch. A date that no
    calendar has stays the number it is, and a decimal with more digits than its precision, or than MAX_DIGITS, the
    bytes.

    The values take at most some 60 times the memory of the document, and what the items take that have no bytes, which
    the check has counted. None where fastavro does not take the schema.
    """
    schema = schema_of_values(*read_types(root, type_name))
    if schema is None:
        return None  # documents can be checked and archived all the same

    def read(document: bytes) -> Any:
        return schemaless_reader(io.BytesIO(document), schema, None)

    return read


def schema_of_values(name: str, named: Mapping[str, Any], *, logical: bool = True) -> Any:
    """What fastavro reads such values with, of the record with this full name; None as `compile_avro_values`.

    Without `logical`, dates, times and timestamps stay the numbers that they are.
    """
    try:
        return parse_schema(_Copy(named, logical=logical).of(name))
    except (SchemaParseException, UnknownType, KeyError, TypeError, ValueError):
        return None


class _Copy:
    """A schema in one piece, with new names (no namespaces), without defaults, with our logical types."""

    def __init__(self, named: Mapping[str, Any], *, logical: bool) -> None:
        self.named = named
        self.logical = logical
        self.names: dict[str, str] = {}

    def of(self, schema: Any) -> Any:
        if isinstance(schema, list):
            return [self.of(each) for each in schema]
        if isinstance(schema, str):
            return self._primitive({"type": schema}) if schema in PRIMITIVES else self._of_named(schema)
        kind = schema["type"]
        if isinstance(kind, dict | list):
            return self.of(kind)
        match kind:
            case "record" | "error" | "enum" | "fixed":
                return self._of_named(schema["name"])
            case "array":
                return {"type": "array", "items": self.of(schema["items"])}
            case "map":
                return {"type": "map", "values": self.of(schema["values"])}
            case _:
                return self._primitive(schema) if kind in PRIMITIVES else self.of(kind)

    def _of_named(self, name: str) -> Any:
        if name in self.names:
            return self.names[name]
        new = self.names[name] = f"n{len(self.names)}"
        schema = self.named[name]
        match schema["type"]:
            case "enum":
                return {"type": "enum", "name": new, "symbols": schema["symbols"]}
            case "fixed":
                return {**_with_reader(schema), "name": new, "size": schema["size"]}
            case _:
                fields = [{"name": field["name"], "type": self.of(field["type"])} for field in schema["fields"]]
                return {"type": "record", "name": new, "fields": fields}

    def _primitive(self, schema: Mapping[str, Any]) -> Any:
        """With its reader; without one by its name alone, which fastavro reads faster."""
        if not self.logical and schema["type"] in ("int", "long"):
            return schema["type"]
        read = _with_reader(schema)
        return read["type"] if len(read) == 1 else read


def logical_reader(kind: str, logical: Any) -> Callable[..., Any] | None:
    """The reader of a date, time or timestamp: its number → text, or the number where no calendar has it."""
    return _READERS.get(f"{kind}-{PREFIX}{logical}") if kind in ("int", "long") else None


def _with_reader(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The primitive or fixed type with the name of the reader of its values, where one is needed."""
    kind, logical, scale = schema["type"], schema.get("logicalType"), schema.get("scale", 0)
    if kind in ("bytes", "fixed"):
        if logical == "decimal" and isinstance(scale, int) and 0 <= scale <= MAX_SCALE:
            most = min(schema["precision"], MAX_DIGITS)
            return {"type": kind, "logicalType": f"{PREFIX}decimal", "precision": most, "scale": scale}
        uuid = logical == "uuid" and schema.get("size") == 16
        return {"type": kind, "logicalType": f"{PREFIX}uuid" if uuid else f"{PREFIX}bytes"}
    if kind == "float":
        return {"type": kind, "logicalType": f"{PREFIX}single"}
    if f"{kind}-{PREFIX}{logical}" in _READERS:
        return {"type": kind, "logicalType": f"{PREFIX}{logical}"}
    return {"type": kind}


MAX_SCALE = 10_000
"""Digits behind the point of a decimal; the logical type of a schema with more is not looked at."""


MAX_DIGITS = 4_000
"""Digits of a decimal, whatever its precision: to convert a number takes time with the square of its size."""


def _decimal(data: bytes, schema: Mapping[str, Any], _: Any = None) -> Decimal | str:
    """A number with more digits than the type has is none of the type: it stays the bytes that it is."""
    number, most = int.from_bytes(data, "big", signed=True), schema["precision"]
    if number.bit_length() > 4 * most:  # surely too long
        return _base64(data)
    sign, digits, _exponent = Decimal(number).as_tuple()
    return Decimal((sign, digits, -schema["scale"])) if len(digits) <= most else _base64(data)


def _base64(data: bytes, _: Any = None, __: Any = None) -> str:
    return base64.b64encode(data).decode()


def _uuid(data: bytes, _: Any = None, __: Any = None) -> str:
    return str(UUID(bytes=data))


def single(data: float, _: Any = None, __: Any = None) -> float:
    """The shortest number that equals this one in 32 bits: 0.1, not 0.10000000149011612."""
    for digits in (6, 7, 8):
        short = float(f"{data:.{digits}g}")
        try:
            if struct.pack("<f", short) == struct.pack("<f", data):
                return short
        except OverflowError:
            continue
    return data


def _date(days: int, _: Any = None, __: Any = None) -> str | int:
    try:
        return (date(1970, 1, 1) + timedelta(days=days)).isoformat()
    except OverflowError:
        return days


def _moment(unit: str, zone: str) -> Callable[..., str | int]:
    per_second = SECOND[unit]
    width = len(str(per_second)) - 1

    def read(ticks: int, _: Any = None, __: Any = None) -> str | int:
        seconds, rest = divmod(ticks, per_second)
        try:
            return f"{(EPOCH + timedelta(seconds=seconds)).isoformat()}.{rest:0{width}}{zone}"
        except OverflowError:
            return ticks

    return read


def _time(unit: str) -> Callable[..., str | int]:
    moment = _moment(unit, "")

    def read(ticks: int, _: Any = None, __: Any = None) -> str | int:
        inside = 0 <= ticks < 86_400 * SECOND[unit]
        return str(moment(ticks)).partition("T")[2] if inside else ticks

    return read


_READERS: dict[str, Callable[..., Any]] = {
    f"bytes-{PREFIX}decimal": _decimal,
    f"fixed-{PREFIX}decimal": _decimal,
    f"bytes-{PREFIX}bytes": _base64,
    f"fixed-{PREFIX}bytes": _base64,
    f"fixed-{PREFIX}uuid": _uuid,
    f"float-{PREFIX}single": single,
    f"int-{PREFIX}date": _date,
    f"int-{PREFIX}time-millis": _time("millis"),
    f"long-{PREFIX}time-micros": _time("micros"),
    **{f"long-{PREFIX}timestamp-{unit}": _moment(unit, "Z") for unit in SECOND},
    **{f"long-{PREFIX}local-timestamp-{unit}": _moment(unit, "") for unit in SECOND},
}
LOGICAL_READERS.update(_READERS)
