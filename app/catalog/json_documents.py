"""Reads JSON documents: strict, every number as it is written, and with the reason why bytes are refused."""

import json
import math
import re
import secrets
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from app.domain.exact_json import NOT_KEPT

MAX_DEPTH = 1024
"""Levels of arrays and objects that orjson reads."""

MAX_INT_DIGITS = 4000
"""Longer integers are Decimals: Python refuses to read or write an int of more than 4,300 digits."""

SURE_BYTES = 16
"""Numbers of fewer bytes have at most 15 significant digits, which survive a double, or are integers of 64 bits."""

_NUMERIC = bytes(ord("0") if byte in b"0123456789." else ord(" ") for byte in range(256))
_RUN = b"0" * SURE_BYTES
_RUN_END = re.compile(rb"0*+")
_SMALL, _SMALL_TOO = re.compile(rb"e-[0-9]{3}"), re.compile(rb"E-[0-9]{3}")
"""Exponents that a double may not hold; those above its range orjson refuses by itself. Two, because a search for a
fixed beginning is ten times as fast."""

_BEFORE_NUMBER = b"[,:- \t\n\r"
_FRACTION = re.compile(rb"[0-9]++\.[0-9]++(?=[,\]} \t\n\r])")
_TOKEN_END = re.compile(rb"[0-9.eE+-]*+")
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_TEXT_OR_NUMBER = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|-?[0-9][0-9.eE+-]*+', re.DOTALL)
_HALF_PAIR = re.compile(r"[\ud800-\udfff]")


class NotKept(Exception):
    """These bytes are not a document that can be archived; the text says why, without any value of the bytes."""


def read(document: bytes) -> tuple[Any, bool]:
    """The value, and whether all its numbers are ordinary.

    Ordinary numbers are ints of 64 bits and floats that print as the number that is written. Others are ints and
    Decimals. Raises NotKept.
    """
    if is_ordinary(document):
        try:
            return orjson.loads(document), True
        except orjson.JSONDecodeError:
            pass  # perhaps a number beyond a double
    return _read_exactly(document), False


def is_ordinary(document: bytes) -> bool:
    """Whether a reader into 64-bit integers and doubles changes no number. Takes some 20 microseconds for 10 KB."""
    digits = document.translate(_NUMERIC)
    place = digits.find(_RUN)
    while place >= 0:
        plain = _FRACTION.match(document, place)
        if plain and repr(float(plain[0])).encode() == plain[0]:  # what programs write; the way for many of them
            place = digits.find(_RUN, plain.end())
            continue
        if (not place or document[place - 1] in _BEFORE_NUMBER) and not _survives(document, place):
            return False
        place = digits.find(_RUN, _RUN_END.match(digits, place).end())  # type: ignore[union-attr]
    return not (_SMALL.search(document) or _SMALL_TOO.search(document)) or (
        _has_no_small(document, _SMALL) and _has_no_small(document, _SMALL_TOO)
    )


def _has_no_small(document: bytes, pattern: re.Pattern[bytes]) -> bool:
    found = pattern.search(document)
    while found:
        before = document[max(found.start() - SURE_BYTES, 0) : found.start()]  # longer ones were looked at
        start = found.start() - len(before) + len(before.rstrip(b"0123456789."))
        end = _TOKEN_END.match(document, found.start()).end()  # type: ignore[union-attr]
        if not _survives(document, start, end):
            return False
        found = pattern.search(document, end)
    return True


def _survives(document: bytes, start: int, end: int | None = None) -> bool:
    """Whether the characters from `start` on are no number, or a number that a double or 64 bits can hold."""
    if end is None:
        end = _TOKEN_END.match(document, start).end()  # type: ignore[union-attr]
    if start and document[start - 1] == ord("-"):
        start -= 1
    if start and document[start - 1] not in _BEFORE_NUMBER:
        return True
    token = document[start:end]
    return _NUMBER.fullmatch(token) is None or is_sure(token)


def is_sure(token: bytes) -> bool:
    """Whether a written number is read without change into an int of 64 bits or a double."""
    if token.isdigit():
        return len(token) <= 19  # below 2^64
    if token[:1] == b"-" and token[1:].isdigit():
        return len(token) <= 19  # above -2^63
    try:
        return len(token) <= 400 and isinstance(_number(token.decode()), float)
    except InvalidOperation:
        return False


def number(token: str) -> int | float | Decimal:
    """The number as it is written. Raises NotKept for an exponent that is too large."""
    try:
        return _number(token)
    except InvalidOperation:
        raise NotKept(NOT_KEPT) from None


def _number(token: str) -> int | float | Decimal:
    if token.lstrip("-").isdigit():
        return int(token) if len(token) <= MAX_INT_DIGITS else Decimal(token)
    short = float(token)
    if math.isfinite(short) and repr(short) == token:
        return short
    exact = Decimal(token)
    if not exact.is_finite():  # another context than ours
        raise InvalidOperation
    return short if math.isfinite(short) and Decimal(repr(short)) == exact else exact


def _read_exactly(document: bytes) -> Any:
    """Reads long numbers as texts that start with a mark, so that orjson reads everything else as strictly as
    before."""
    try:
        orjson.loads(_TEXT_OR_NUMBER.sub(_blanked, document))  # what is wrong is wrong here, at the same column
    except orjson.JSONDecodeError as error:
        raise NotKept(_why(document, error)) from None
    mark = secrets.token_hex(16).encode()

    def marked(found: re.Match[bytes]) -> bytes:
        token = found[0]
        if token[:1] == b'"' or (len(token) < SURE_BYTES and not _has_exponent(token)):
            return token
        return b'"' + mark + token + b'"'

    value = orjson.loads(_TEXT_OR_NUMBER.sub(marked, document))
    return _unmarked(value, mark.decode())


def _has_exponent(token: bytes) -> bool:
    return b"e" in token or b"E" in token


def _blanked(found: re.Match[bytes]) -> bytes:
    token = found[0]
    if token[:1] == b'"' or not _NUMBER.fullmatch(token):
        return token
    return b"1".ljust(len(token))


def _unmarked(value: Any, mark: str) -> Any:
    root = [value]
    left: list[Any] = [root]
    while left:
        holder = left.pop()
        for place, each in list(holder.items()) if isinstance(holder, dict) else enumerate(holder):
            if isinstance(each, dict | list):
                left.append(each)
            elif isinstance(each, str) and each.startswith(mark):
                holder[place] = number(each[len(mark) :])
    return root[0]


def _why(document: bytes, error: orjson.JSONDecodeError) -> str:
    if not document:
        return "not valid JSON: it is empty"
    if document.startswith(b"\xef\xbb\xbf"):
        return "not valid JSON: it starts with a byte order mark (U+FEFF), send it without"
    if document.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in document[:2]:
        return "not valid JSON: not UTF-8, it looks like UTF-16 or UTF-32"
    try:
        text = document.decode()
    except UnicodeDecodeError as wrong:
        return f"not valid JSON: not UTF-8 (byte {wrong.start + 1:,})"
    if not text.strip(" \t\n\r"):
        return "not valid JSON: nothing but blanks"
    if "depth" in error.msg or "recursion" in error.msg:
        return f"nested too deeply: more than {MAX_DEPTH:,} levels; JSON allows this, it is not kept"
    where = f"line {error.lineno}, column {error.colno}"
    word = re.compile(r"-?(NaN|Infinity)").match(text, error.pos)
    if word or (error.pos and text[error.pos - 1 : error.pos + 8] == "-Infinity"):
        return f"not valid JSON: {word[1] if word else 'Infinity'} is no number of JSON ({where})"
    if _has_half_pair(text):
        return (
            f"a text has half of a surrogate pair ({where}): JSON allows this, it is not kept because such a text has "
            "no UTF-8"
        )
    return f"not valid JSON ({where})"


def _has_half_pair(text: str) -> bool:
    """Whether the text is JSON with half a surrogate pair, written as an escape, in a name or a text."""
    try:
        left: list[Any] = [json.loads(text, object_pairs_hook=_flat)]
    except (ValueError, RecursionError):
        return False
    while left:
        each = left.pop()
        if isinstance(each, list):
            left.extend(each)
        elif isinstance(each, str) and _HALF_PAIR.search(each):
            return True
    return False


def _flat(pairs: list[tuple[str, Any]]) -> list[Any]:
    return [part for pair in pairs for part in pair]
