"""Logical types of Avro schemas: an invalid one is ignored and its base type stays, as the specification says."""

from collections.abc import Callable, Mapping
from typing import Any

_CONTENT = frozenset({"default", "symbols", "aliases", "doc"})
"""Keys whose values hold no schemas."""


def without_wrong_logical_types(schema: Any) -> Any:
    """The schema, or a copy with valid logical types only, and the names of unknown logical types."""
    if isinstance(schema, list):
        return [without_wrong_logical_types(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    copy = {key: each if key in _CONTENT else without_wrong_logical_types(each) for key, each in schema.items()}
    if "logicalType" in copy and not _is_valid(copy):
        del copy["logicalType"]
    return copy


def _is_valid(schema: Mapping[str, Any]) -> bool:
    logical = schema["logicalType"]
    if not isinstance(logical, str):
        return False
    valid = _KNOWN.get(logical)
    return valid is None or valid(schema)


def _decimal(schema: Mapping[str, Any]) -> bool:
    precision, scale, size = _count(schema.get("precision")), _count(schema.get("scale", 0)), _count(schema.get("size"))
    if not precision or scale is None or scale > precision:
        return False
    if schema.get("type") == "fixed":
        return size is not None and precision <= _most_digits(size)
    return schema.get("type") == "bytes"


def _most_digits(size: int) -> int:
    """The decimal digits that always fit into this number of bytes with a sign."""
    if size == 0:
        return 0
    # log10(2) from below; exact for every size that a document can have
    return (8 * size - 1) * 30_102_999_566_398_119 // 10**17


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _of(*types: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda schema: schema.get("type") in types


_KNOWN: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "decimal": _decimal,
    "big-decimal": _of("bytes"),
    "uuid": lambda schema: schema.get("type") == "string" or (schema.get("type"), schema.get("size")) == ("fixed", 16),
    "duration": lambda schema: (schema.get("type"), schema.get("size")) == ("fixed", 12),
    "date": _of("int"),
    "time-millis": _of("int"),
    "time-micros": _of("long"),
    **{
        f"{kind}-{unit}": _of("long")
        for kind in ("timestamp", "local-timestamp")
        for unit in ("millis", "micros", "nanos")
    },
}
