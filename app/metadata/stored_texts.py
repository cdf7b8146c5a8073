"""The texts as which an equal JSON value may be stored: a document may write 1 as 1.0, and 1e400 as 1E+400."""

import math
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from itertools import product

import orjson

from app.domain.exact_json import read_json, write_json

MOST = 16
"""Texts of one value: each is looked up in the index."""

MAX_WHOLE = 4000
"""Digits of a number that is written in full: of larger ones no other text than with an exponent is looked for."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|(-?[0-9][0-9.eE+-]*)')
"""A text, which is passed over, or a number."""

_Forms = tuple[str, str, str, str, str]
"""A number as it was written, in full as a whole number and with `.0`, and with an exponent as short as possible and
with one digit more. Some are alike; what a double holds has one text beside the whole number."""


def stored_texts(operand: str) -> tuple[str, ...]:
    """The ways in which values equal to this JSON may be stored, the most likely first; none where it is no JSON.

    Numbers are compared by value. Where there are more than `MOST` ways, those remain in which all numbers of the value
    are written alike.
    """
    try:
        value = read_json(operand.encode())
    except ValueError:
        return ()
    text = write_json(value)
    literals, numbers, end = [], [], 0
    known: dict[str, _Forms] = {}
    for token in _TOKEN.finditer(text):
        if (number := token[1]) is not None:
            literals.append(text[end : token.start()])
            numbers.append(known.get(number) or known.setdefault(number, _forms(number)))
            end = token.end()
    longest = 2 * len(text) + 4 * MAX_WHOLE
    ways = (way for way in _ways(numbers) if sum(map(len, way)) <= longest)
    return tuple(dict.fromkeys(_joined(literals, way) + text[end:] for way in ways))


def _ways(numbers: Sequence[_Forms]) -> Iterable[tuple[str, ...]]:
    count = 1
    for forms in numbers:
        count *= len(set(forms))
        if count > MOST:
            return zip(*numbers, strict=True)
    return product(*(dict.fromkeys(forms) for forms in numbers))


def _joined(literals: Sequence[str], numbers: Sequence[str]) -> str:
    """Each number behind its literal text."""
    return "".join(part for pair in zip(literals, numbers, strict=True) for part in pair)


def _forms(written: str) -> _Forms:
    exact = Decimal(written)
    sign, digits, exponent = exact.as_tuple()
    minus = "-" * sign
    kept = "".join(map(str, digits)).rstrip("0")
    if not kept:
        return written, "0", "0.0", "-0.0", "0"
    power = int(exponent) + len(digits) - len(kept)
    double = _double(exact)
    try:
        short = double or str(Decimal(f"{minus}{kept}e{power}"))
        longer = double or str(Decimal(f"{minus}{kept}0e{power - 1}"))
    except InvalidOperation:  # at the end of what a Decimal holds
        return (written,) * 5
    if not 0 <= power <= MAX_WHOLE - len(kept):
        return written, short, longer, short, longer
    whole = f"{minus}{kept}{'0' * power}"
    return written, whole, double or f"{whole}.0", short, longer


def _double(exact: Decimal) -> str | None:
    """The number as a double is stored; None where no double is this number."""
    number = float(exact)
    if not math.isfinite(number) or Decimal(repr(number)) != exact:
        return None
    return orjson.dumps(number).decode()
