r"""Reads a character that is written as a pair of surrogate escapes, `"\ud83d\ude00"`, as JSON libraries write it.

YAML has no such pairs: libyaml refuses each escape by itself, and only libyaml knows which parts of a body are in
double quotes. So a mark, a character that does not occur in the body, replaces the two backslashes of each pair; lines
and columns stay the same. In a text in double quotes the two marks then stand for the character; anywhere else each
mark is a backslash again. Half of a pair is left as it is, and libyaml refuses it.
"""

import random
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from yaml.events import ScalarEvent

_ESCAPE = re.compile(rb"\\u[dD][89abAB]")
_PAIR = re.compile(
    rb"(?<!\\)(?:\\\\)*"  # an even number of backslashes: they are backslashes themselves
    rb"\\(u)[dD][89abAB][0-9a-fA-F]{2}"
    rb"(?:\\(?:\r\n|\r|\n)[ \t]*)?"  # where a writer of long lines broke it
    rb"\\(u)[dD][c-fC-F][0-9a-fA-F]{2}"
)
TRIES = 16
"""How many of the 131,068 possible marks are tried: only a body with most of them has all that are tried."""


class NoMark(Exception):
    """The body contains all characters that were tried as a mark."""

    def __init__(self) -> None:
        super().__init__("holds pairs like \\ud83d\\ude00 and most characters for private use")


def marked(body: bytes, candidates: Iterable[str] | None = None) -> tuple[bytes, str | None]:
    """The body with marks, and the mark; None when the body has no pair. Raises NoMark."""
    if b"\\u" not in body or not _ESCAPE.search(body):
        return body, None
    for mark in _private() if candidates is None else candidates:
        encoded = mark.encode()
        # In double quotes it could be written as an escape too.
        if encoded not in body and not re.search(rb"\\U%08X" % ord(mark), body, re.IGNORECASE):
            prepared = with_marks(body, encoded)
            return prepared, None if prepared is body else mark
    raise NoMark


def with_marks(body: bytes, mark: bytes) -> bytes:
    """The body with marks. `re.sub` would hold a million pieces in memory until it joins them."""
    prepared, end = bytearray(), 0
    for pair in _PAIR.finditer(body):
        for place in (pair.start(1), pair.start(2)):
            prepared += body[end : place - 1]
            prepared += mark
            end = place
    prepared += body[end:] if end else b""
    return bytes(prepared) if end else body


def restoring(next_event: Callable[[], Any], mark: str) -> Callable[[], Any]:
    """The events of a body with marks; their values have characters or backslashes instead of the marks."""
    pair = re.compile(f"{mark}u(....){mark}u(....)")

    def restored() -> Any:
        event = next_event()
        if type(event) is ScalarEvent and mark in event.value:
            event.value = pair.sub(_character, event.value) if event.style == '"' else event.value.replace(mark, "\\")
        return event

    return restored


def _character(found: re.Match[str]) -> str:
    high, low = int(found[1], 16), int(found[2], 16)
    return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))


def _private() -> Iterator[str]:
    for _ in range(TRIES):
        yield chr(random.choice((0xF0000, 0x100000)) + random.randrange(0xFFFE))  # no secret
