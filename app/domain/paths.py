"""Extraction paths: `customer.id`, `items[0].id`, `items[*].id`, `["a.b"].c` → a Path of steps, and back to text."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from typing_extensions import override

MAX_PATH = 1000
"""Characters of a path."""

MAX_STEPS = 100
"""Keys, indexes and wildcards in one path: as deep as documents are read."""

EXAMPLES = 'customer.id, items[0].id, items[*].id or ["a.b"].c'

NAME = re.compile(r"[^.\[\]\"\s\x00-\x1f]+(?: +[^.\[\]\"\s\x00-\x1f]+)*")
"""A key without quotes; blanks may stand inside it only."""

STRING = re.compile(r"\"(?:[^\"\\\x00-\x1f]|\\(?:[\"\\/bfnrt]|u[0-9A-Fa-f]{4}))*\"")
INDEX = re.compile(r"[0-9]{1,6}")
SURROGATE = re.compile(r"[\ud800-\udfff]")
"""Half of a pair; it has no UTF-8, and only an escape can write it."""


class Every:
    """The step `[*]`: each element of a list. There is one, `EVERY`."""

    __slots__ = ()

    @override
    def __repr__(self) -> str:
        return "EVERY"

    @override
    def __reduce__(self) -> str:
        return "EVERY"


EVERY: Final = Every()

Step = str | int | Every
"""A key of an object, an index into a list from 0, or each element of a list."""


@dataclass(frozen=True, slots=True)
class Path:
    """What to read of a document. Paths that mean the same are equal, however they are written."""

    steps: tuple[Step, ...]

    @override
    def __str__(self) -> str:
        """The plainest text of the path; it parses to an equal path and holds nothing a database refuses."""
        return "".join(self._parts())

    def _parts(self) -> Iterator[str]:
        for place, step in enumerate(self.steps):
            if isinstance(step, Every):
                yield "[*]"
            elif isinstance(step, int):
                yield f"[{step}]"
            elif step == "*" or not NAME.fullmatch(step) or SURROGATE.search(step) or (place == 0 and step == "$"):
                yield f"[{SURROGATE.sub(_escape, json.dumps(step, ensure_ascii=False))}]"
            else:
                yield f".{step}" if place else step


def parse_path(text: str) -> Path:
    """The path a text stands for. Raises ValueError with place (characters counted from 1) and reason.

    Keys are joined by dots; in brackets stand an index, `*`, or a key as a JSON string. A path may begin with a
    bracket, for documents that are a list.
    """
    if not text.strip():
        raise ValueError("must not be empty")
    if len(text) > MAX_PATH:
        raise ValueError(f"must have at most {MAX_PATH:,} characters")
    if text == "$" or text.startswith(("$.", "$[")):
        raise ValueError("is written without $, for example customer.id")
    if SURROGATE.search(text):
        raise ValueError("must not have half a surrogate pair; write it as an escape in quotes")
    steps: list[Step] = []
    at = 0
    while at < len(text):
        if steps and text.startswith('.["', at):
            at += 1
        step: Step
        if text[at] == "[":
            step, at = _bracket(text, at + 1)
        else:
            if steps and text[at] != ".":
                raise _mistake(at, "a dot or a bracket is missing")
            step, at = _name(text, at + 1 if steps else at)
        steps.append(step)
        if len(steps) > MAX_STEPS:
            raise ValueError(f"must have at most {MAX_STEPS} keys and brackets")
    return Path(tuple(steps))


def _name(text: str, at: int) -> tuple[str, int]:
    found = NAME.match(text, at)
    if found is None:
        if at < len(text) and text[at] not in '.["]':
            raise _mistake(at, "a blank or control character; such a key is written in brackets and quotes")
        if text[at : at + 1] in ('"', "]"):
            raise _mistake(at, f"{text[at]} outside of brackets")
        raise _mistake(at, "a key is missing")
    if found[0] == "*":
        raise _mistake(at, '[*] is each element of a list, ["*"] the key *')
    return found[0], found.end()


def _bracket(text: str, at: int) -> tuple[Step, int]:
    """The step whose bracket opens before `at`, and the place behind its end."""
    step: Step
    if text.startswith('"', at):
        string = STRING.match(text, at)
        if string is None:
            raise _mistake(at, "not a JSON string")
        step, end = str(json.loads(string[0])), string.end()
    elif text.startswith("*", at):
        step, end = EVERY, at + 1
    elif text.startswith("-", at):
        raise _mistake(at, "elements are counted from 0; there are no negative indexes")
    elif text.startswith("'", at):
        raise _mistake(at, 'a key in brackets stands in double quotes, ["a.b"]')
    else:
        index = INDEX.match(text, at)
        if index is None:
            raise _mistake(at, "an index, * or a key in double quotes is missing")
        step, end = int(index[0]), index.end()
        if text[end : end + 1].isdecimal():
            raise _mistake(at, "an index has at most 6 digits")
    if not text.startswith("]", end):
        raise _mistake(end, "a closing bracket is missing")
    return step, end + 1


def _mistake(at: int, reason: str) -> ValueError:
    return ValueError(f"must look like {EXAMPLES} (character {at + 1}: {reason})")


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
