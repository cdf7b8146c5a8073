"""Reads and writes JSON without changing a number: a number without an exact int or float is a Decimal."""

import json
import math
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

MAX_INT_DIGITS = 4000
"""Longer integers become a Decimal; Python refuses to read or write an int of more than 4,300 digits."""

_DIGITS = bytes(
    ord("0") if byte in b"0123456789." else ord("e") if byte in b"eE" else ord("-") if byte == ord("-") else ord(" ")
    for byte in range(256)
)
_LONG_NUMBER = b"0" * 16
_SMALL_NUMBER = b"0e-000"
"""What a document must contain to hold a number that orjson could change: it reads long integers and decimal
fractions into a double. 15 digits always survive that. A text with many digits only costs the slower way."""


NOT_KEPT = "a number has an exponent of more than 18 digits: JSON allows this, it is not kept"
"""Why a number is refused that no Decimal holds: in a message here, in a fetched document in `catalog`."""


class NumberNotKept(ValueError):
    """A number of JSON that is not read, as it could not be written again; the text has no value."""

    def __init__(self) -> None:
        super().__init__(NOT_KEPT)


def read_json(content: bytes) -> Any:
    """The value of a JSON document: dict, list, str, int, float, Decimal, bool, None.

    Raises ValueError, NumberNotKept where the document is JSON as far as it was read.
    """
    digits = content.translate(_DIGITS)
    if _LONG_NUMBER not in digits and _SMALL_NUMBER not in digits:
        try:
            return orjson.loads(content)
        except orjson.JSONDecodeError:
            pass  # numbers out of the range of a double, half surrogate pairs
    try:
        return json.loads(content.decode(), parse_int=_integer, parse_float=_fraction, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def write_json(value: Any) -> str:
    """The text of a value, always the same for equal ones: keys sorted, no blanks. Never raises.

    It holds neither NUL nor half surrogate pairs, these are escaped; what JSON has no word for (NaN, infinity) is null.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:
        return _write(value)


def _write(value: Any) -> str:
    """The slower way, for Decimals, long integers, half surrogate pairs and nesting of any depth."""
    parts: list[str] = []
    left: list[tuple[str, Any]] = [("", value)]  # literal text, and the value that follows it
    while left:
        text, item = left.pop()
        parts.append(text)
        if isinstance(item, dict):
            parts.append("{")
            left.append(("}", _NOTHING))
            members = sorted(
                ((str(key), each) for key, each in item.items()), key=lambda member: member[0], reverse=True
            )
            last = len(members) - 1
            left.extend(
                (("" if i == last else ",") + _scalar(key) + ":", each) for i, (key, each) in enumerate(members)
            )
        elif isinstance(item, list):
            parts.append("[")
            left.append(("]", _NOTHING))
            left.extend(("," if place else "", item[place]) for place in range(len(item) - 1, -1, -1))
        elif item is not _NOTHING:
            parts.append(_scalar(item))
    return "".join(parts)


_NOTHING = object()


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        try:
            return orjson.dumps(value).decode()
        except TypeError:
            return json.dumps(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if value.bit_length() < 3 * MAX_INT_DIGITS else str(Decimal(value))
    if isinstance(value, Decimal):
        return str(value) if value.is_finite() else "null"
    if isinstance(value, float) and math.isfinite(value):
        return orjson.dumps(value).decode()
    return "null"


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) <= MAX_INT_DIGITS else Decimal(text)


def _fraction(text: str) -> float | Decimal:
    """The float if it is the same number, however it is written."""
    number = float(text)
    try:
        exact = Decimal(text)
    except InvalidOperation:
        raise NumberNotKept from None
    return number if math.isfinite(number) and Decimal(repr(number)) == exact else exact


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")
