"""What a submitted body is made of: the rules for single values, the mistakes found, and the packed references."""

import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from app.domain.identity import reference_key
from app.domain.jobs import Reference
from app.domain.mistakes import Mistake
from app.domain.reference_rules import BLANK, MAX_VERSION, id_fault, text_fault

MAX_TEXT = 255
"""Code points of `message`, `topic`, `config-id` and `name`: the width of their columns."""
MAX_RETRIES = 10
MAX_MISTAKES = 20
BLOCK = 2_000
"""References unpacked at once: about 1 ms of a loop turn."""
UNREADABLE = -1
"""In the place of a version: there was a mistake in it."""

NULLS = frozenset(("", "~", "null", "Null", "NULL"))
"""Values that are missing where they stand without quotes."""
_VERSION = re.compile("[1-9][0-9]{0,9}")
_RETRIES = re.compile("[0-9]|10")


MORE = Mistake("", None, f"there are more mistakes; the first {MAX_MISTAKES} are listed")


def listed(mistakes: Iterable[Mistake]) -> tuple[Mistake, ...]:
    """In the order of the lines (unknown ones last), at most 20 and then a note that there are more."""
    everything = list(mistakes)
    kept = sorted((each for each in everything if each != MORE), key=lambda each: (each.line is None, each.line or 0))
    more = len(kept) > MAX_MISTAKES or len(kept) < len(everything)
    return (*kept[:MAX_MISTAKES], MORE) if more else tuple(kept)


def shown(value: str) -> str:
    """A value as a message may show it: quoted, short, nothing in it that a terminal or a log acts on."""
    return repr(value if len(value) <= 80 else value[:77] + "...")


def text_problem(value: str, longest: int = MAX_TEXT) -> str | None:
    """What is wrong with a text that is not the name of a reference, or None."""
    fault = text_fault(value, longest)
    return None if fault is None else _problem(value, fault)


def id_problem(value: str) -> str | None:
    """What is wrong with the id of a reference, or None. White space around a quoted id belongs to it."""
    fault = id_fault(value)
    return None if fault is None else _problem(value, fault)


def _problem(value: str, fault: str) -> str:
    return f"{fault}; give it a value" if fault == BLANK else f"{shown(value)} {fault}"


def version_of(value: str, plain: bool) -> int | str:
    """The version, or what is wrong with it."""
    if plain and _VERSION.fullmatch(value) and (number := int(value)) <= MAX_VERSION:
        return number
    if not plain and _VERSION.fullmatch(value):
        return f"{shown(value)} is a text; write the number without quotes"
    return f"{shown(value)} is not a whole number from 1 to {MAX_VERSION} (digits only, no leading zero)"


def retries_of(value: str, plain: bool) -> int | str:
    """`num-of-retry`, or what is wrong with it."""
    if plain and _RETRIES.fullmatch(value):
        return int(value)
    if not plain and _RETRIES.fullmatch(value):
        return f"{shown(value)} is a text; write the number without quotes"
    return f"{shown(value)} is not a whole number from 0 to {MAX_RETRIES}"


@dataclass(frozen=True, slots=True)
class ReferenceColumns:
    """References in the order of the body, packed: a million are some 20 MB that travel between processes in no time.

    `blocks` are the ids in UTF-8, `BLOCK` of them in each, one per line (an id contains no control character);
    `versions` is 0 where there is none; `lines` count from 1. A reference with a mistake in its id is there with an
    empty id, one with a mistake in its version with `UNREADABLE`. `keys` are the 16 bytes of `reference_key` each.
    """

    blocks: tuple[bytes, ...] = ()
    versions: "array[int]" = field(default_factory=lambda: array("i"))
    lines: "array[int]" = field(default_factory=lambda: array("I"))
    keys: bytes = b""

    def __len__(self) -> int:
        return len(self.versions)

    def __iter__(self) -> Iterator[Reference]:
        for number in range(len(self.blocks)):
            yield from self.block(number)

    def __getitem__(self, position: int) -> Reference:
        return self.block(position // BLOCK)[position % BLOCK]

    def block(self, number: int) -> list[Reference]:
        """References `number * BLOCK` and following; as many as `blocks[number]` holds."""
        versions = self.versions[number * BLOCK : (number + 1) * BLOCK]
        ids = self.blocks[number].decode().split("\n")
        return [Reference(each, version or None) for each, version in zip(ids, versions, strict=True)]

    def key(self, position: int) -> bytes:
        return self.keys[position * 16 : position * 16 + 16]


class ColumnsBuilder:
    """Packs references while they are read, so that a million of them are never a million objects."""

    __slots__ = ("_blocks", "_ids", "_keys", "lines", "versions")

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._blocks: list[bytes] = []
        self._keys = bytearray()
        self.versions = array("i")
        self.lines = array("I")

    def __len__(self) -> int:
        return len(self.versions)

    def add(self, id_: str, version: int, line: int) -> None:
        """`id_` is "" where it cannot be read."""
        self._ids.append(id_)
        self.versions.append(version)
        self.lines.append(line)
        if len(self._ids) == BLOCK:
            self._pack()

    def _pack(self) -> None:
        versions = self.versions[-len(self._ids) :]
        references = [Reference(id_, version or None) for id_, version in zip(self._ids, versions, strict=True)]
        self._keys += b"".join(map(reference_key, references))
        self._blocks.append("\n".join(self._ids).encode())
        self._ids.clear()

    def build(self) -> ReferenceColumns:
        if self._ids:
            self._pack()
        keys = bytes(self._keys)
        self._keys.clear()
        return ReferenceColumns(tuple(self._blocks), self.versions, self.lines, keys)
