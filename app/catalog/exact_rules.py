"""Exact rules for numbers, for documents with numbers that neither 64 bits nor doubles can hold.

jsonschema-rs compares equal values (const, enum, uniqueItems) and integers exactly, of any size; limits and multiples
of long fractions it does not, and of a list of long numbers it compares each with each.
"""

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

CHUNK = 1000
"""Digits that are divided at once: Python reads ints of up to 4,300."""


class _Mismatch(ValueError):
    """The number does not fit the rule."""


def _of(value: Any) -> Decimal | None:
    """The number as it is written, None for a value that is not a number."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, float):
        return Decimal(repr(value))
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _limit(allows: Callable[[Decimal, Decimal], bool], flag: str = "") -> type:
    """`flag`: the keyword of draft-04 that excludes the limit itself."""

    class Limit:
        def __init__(self, parent: Mapping[str, Any], value: Any, path: list[str | int]) -> None:
            self.limit = _of(value)  # None for the flag itself
            self.excluded = bool(flag) and parent.get(flag) is True

        def validate(self, instance: Any) -> None:
            number = _of(instance)
            if number is None or self.limit is None:
                return
            if not allows(number, self.limit) or (self.excluded and number == self.limit):
                raise _Mismatch

    return Limit


class _Multiple:
    def __init__(self, parent: Mapping[str, Any], value: Any, path: list[str | int]) -> None:
        factor = _of(value)
        assert factor is not None  # noqa: S101 - the schema was checked
        self.digits, self.exponent = _parts(factor)

    def validate(self, instance: Any) -> None:
        number = _of(instance)
        if number is not None and not self._divides(number):
            raise _Mismatch

    def _divides(self, number: Decimal) -> bool:
        """Takes time and memory for the written digits only, however large the exponent is."""
        if not number:
            return True
        digits, exponent = _parts(number)
        shift = exponent - self.exponent
        if shift < 0:  # no zero at the end of the digits, so that no power of ten divides them
            return False
        factor, rest = int(self.digits), 0
        for place in range(0, len(digits), CHUNK):
            piece = digits[place : place + CHUNK]
            rest = (rest * pow(10, len(piece), factor) + int(piece)) % factor
        return rest * pow(10, shift, factor) % factor == 0


class _Unique:
    def __init__(self, parent: Mapping[str, Any], value: Any, path: list[str | int]) -> None:
        self.wanted = value is True

    def validate(self, instance: Any) -> None:
        if self.wanted and isinstance(instance, list) and len({_key(each) for each in instance}) < len(instance):
            raise _Mismatch


def _key(value: Any) -> str:
    """A text that is the same for equal values only; for any depth."""
    parts: list[str] = []
    left: list[Any] = [value]
    while left:
        each = left.pop()
        if isinstance(each, _Word):
            parts.append(each)
        elif isinstance(each, dict):
            left.append(_Word("}"))
            for name in sorted(each, reverse=True):
                left += [_Word(","), each[name], _Word(":"), name]
            left.append(_Word("{"))
        elif isinstance(each, list):
            left.append(_Word("]"))
            for item in reversed(each):
                left += [_Word(","), item]
            left.append(_Word("["))
        else:
            number = _of(each)
            parts.append(json.dumps(each) if number is None else "{}e{}".format(*_parts(number)) + "-" * (number < 0))
    return "".join(parts)


class _Word(str):
    """A part of the text that is not a part of the value."""

    __slots__ = ()


def _parts(number: Decimal) -> tuple[str, int]:
    """The digits without zeros at the end, and the exponent."""
    _, places, exponent = number.as_tuple()
    digits = "".join(map(str, places))
    short = digits.strip("0")
    return (short, int(exponent) + len(digits) - len(digits.rstrip("0"))) if short else ("0", 0)


EXACT_RULES: dict[str, type] = {
    "maximum": _limit(lambda number, limit: number <= limit, "exclusiveMaximum"),
    "minimum": _limit(lambda number, limit: number >= limit, "exclusiveMinimum"),
    "exclusiveMaximum": _limit(lambda number, limit: number < limit),
    "exclusiveMinimum": _limit(lambda number, limit: number > limit),
    "multipleOf": _Multiple,
    "uniqueItems": _Unique,
}
"""For `validator_for(keywords=…)`."""
