"""Warns of suspicious ids: blanks or quotes around them, invisible characters, separators of lists, near duplicates."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from app.api.submission.events import REFERENCES
from app.api.submission.scalars import BLOCK, ReferenceColumns, shown
from app.domain.mistakes import Mistake

LISTED = 20
"""Warnings of each kind that are listed; all others are counted."""

COMPARED = 100_000
"""Suspicious ids that are kept in memory to be compared with the others: about 20 MB."""

_BLANKS = " \u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2008\u2009\u200a\u205f\u3000"
_QUOTES = "\"'`´‘’‚‛“”„‟«»‹›"
_SEPARATORS = ",;|，；、｜"
_SEEN_AS = {"\u00a0": " ", "\u2007": " ", "\u202f": " ", "\u2011": "-"}
"""No-break characters, each with the character that it looks like."""
_UNSEEN = (
    *("\u00ad", "\u034f", "\u061c", "\u115f", "\u1160", "\u180e", "\u2028", "\u2029", "\u3164", "\ufeff", "\uffa0"),
    *map(chr, (*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), *range(0xFFF9, 0xFFFC))),
)
"""Characters of no width: joiners, directions, marks, fillers."""

_AROUND = frozenset(_BLANKS + _QUOTES)
_HIDDEN = "".join((*_UNSEEN, *_SEEN_AS))
_ANY = re.compile(f"[{re.escape(_BLANKS + _QUOTES + _SEPARATORS + _HIDDEN)}]")
_INSIDE = re.compile(f"[{re.escape(_SEPARATORS + _HIDDEN)}]")
_A_HIDDEN = re.compile(f"[{re.escape(_HIDDEN)}]")
_A_SEPARATOR = re.compile(f"[{re.escape(_SEPARATORS)}]")
_AS_SEEN = str.maketrans(dict.fromkeys(_UNSEEN, "") | _SEEN_AS)
_PEELED = _BLANKS + _QUOTES + _SEPARATORS


class _Kind:
    """The warnings of one kind. `rest` is the end of the sentence about the ids that are only counted."""

    def __init__(self, columns: ReferenceColumns, rest: str) -> None:
        self._columns = columns
        self._rest = rest
        self._count = 0
        self.listed: list[Mistake] = []

    def add(self, place: int, id_: str, rest: Callable[[], str] | str) -> None:
        """`rest` is the end of the warning, after the id."""
        self._count += 1
        if len(self.listed) < LISTED:
            text = f"{shown(id_)} {rest if isinstance(rest, str) else rest()}"
            self.listed.append(Mistake(f"{REFERENCES}[{place}].id", self._columns.lines[place], text))

    def more(self) -> Iterator[Mistake]:
        if self._count > LISTED:
            yield Mistake("", None, f"{self._count - LISTED} more ids {self._rest}; the first {LISTED} are listed")


class _PlacedId(NamedTuple):
    place: int
    id: str


def id_warnings(columns: ReferenceColumns) -> tuple[Mistake, ...]:
    """The warnings in the order of the lines: up to 20 of each kind, then how many more there are.

    Takes 0.1 s for a million plain ids, about 3 s when all are suspicious: a large body is read in its own process.
    """
    blanks = _Kind(columns, "have blanks around them")
    quotes = _Kind(columns, "have quotes around them")
    hidden = _Kind(columns, "contain characters that cannot be seen, or told from others")
    lists = _Kind(columns, "contain separators of lists")
    alike = _Kind(columns, "are like another one but for these")
    firsts: dict[str, _PlacedId] = {}
    for place, id_ in _suspicious(columns):
        if id_[0] in _BLANKS or id_[-1] in _BLANKS:
            blanks.add(place, id_, "has blanks around it; they belong to the id")
        if id_[0] in _QUOTES or id_[-1] in _QUOTES:
            quotes.add(place, id_, "has quotes around it; they belong to the id")
        if _INSIDE.search(id_):
            if character := _A_HIDDEN.search(id_):
                hidden.add(place, id_, partial(_contains, character[0]))
            if separator := _A_SEPARATOR.search(id_):
                lists.add(place, id_, f'contains "{separator[0]}"; each id needs an entry of its own')
        core = _core(id_)
        first = firsts.get(core)
        if first is not None and first.id != id_:
            alike.add(place, id_, partial(_alike, first))
        elif first is None and core and len(firsts) < COMPARED:
            firsts[core] = _PlacedId(place, id_)
    if firsts:
        _compare(columns, firsts, alike)
    kinds = (blanks, quotes, hidden, lists, alike)
    listed = [warning for kind in kinds for warning in kind.listed]
    more = [note for kind in kinds for note in kind.more()]
    return (*sorted(listed, key=lambda each: each.line or 0), *more)


def _suspicious(columns: ReferenceColumns) -> Iterator[tuple[int, str]]:
    for number, block in enumerate(columns.blocks):
        text = block.decode()
        if _ANY.search(text) is None:
            continue
        for place, id_ in enumerate(text.split("\n"), number * BLOCK):
            if _is_suspicious(id_):
                yield place, id_


def _is_suspicious(id_: str) -> bool:
    return id_ != "" and (id_[0] in _AROUND or id_[-1] in _AROUND or _INSIDE.search(id_) is not None)


def _core(id_: str) -> str:
    """The id without its suspicious characters; a plain id is its own core."""
    return (id_.translate(_AS_SEEN) if _A_HIDDEN.search(id_) else id_).strip(_PEELED)


def _compare(columns: ReferenceColumns, firsts: dict[str, _PlacedId], alike: _Kind) -> None:
    """Finds plain ids that are the core of a suspicious id; each once, although it may occur with many versions."""
    for number, block in enumerate(columns.blocks):
        for place, id_ in enumerate(block.decode().split("\n"), number * BLOCK):
            first = firsts.get(id_)
            if first is not None and first.id != id_ and not _is_suspicious(id_):
                clean = firsts[id_] = _PlacedId(place, id_)
                alike.add(first.place, first.id, partial(_alike, clean))


def _contains(found: str) -> str:
    """`contains U+200B ZERO WIDTH SPACE`."""
    return f"contains U+{ord(found):04X} {unicodedata.name(found, '')}".rstrip()


def _alike(other: _PlacedId) -> str:
    return f"is like {shown(other.id)} of {REFERENCES}[{other.place}] but for what surrounds it or cannot be seen"
