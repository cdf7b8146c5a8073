r"""Feeds libyaml from a stream. Each piece is looked at as `body` looks at a whole body: line breaks that libyaml reads
as YAML 1.1 does, %TAG lines, and pairs of surrogate escapes (`surrogates`)."""

import random
import re
from typing import Protocol

from typing_extensions import override

from app.api.submission.body import ENCODINGS, LINE_BREAKS, UTF8_MARK
from app.api.submission.events import Feed, Stop
from app.domain.mistakes import Mistake
from app.domain.surrogates import with_marks

PIECE = 64 * 1024
OVERLAP = 64
"""Bytes at the end of a piece in which a pair of escapes may have begun: it goes with the next piece."""


LONGEST_KEPT = 4_096
"""Bytes that go with the next piece at most, whatever they are."""


class Bytes(Protocol):
    def read(self, size: int, /) -> bytes: ...


class YamlFeed(Feed):
    """`mark` stands for the backslashes of pairs. `mistakes` are those that ended the reading before libyaml saw them.

    A body cannot be searched for the mark before it is read: it is one of 131,068 characters for private use, by
    chance, and a body that has it all the same is refused.
    """

    def __init__(self, stream: Bytes) -> None:
        super().__init__()
        self._stream = stream
        self._kept = b""
        self._last = b"\n"
        self._line = 1
        self._begun = False
        self.mark = chr(random.choice((0xF0000, 0x100000)) + random.randrange(0xFFFE))  # no secret
        self._mark = self.mark.encode()
        self._escaped = re.compile(rb"\\U%08X" % ord(self.mark), re.IGNORECASE)
        self.mistakes: list[Mistake] = []

    @override
    def piece(self, size: int) -> bytes:
        raw = self._stream.read(PIECE)
        piece = self._kept + raw
        if not self._begun:
            self._begun = True
            self._refuse(piece.startswith(ENCODINGS), 0, piece, "is UTF-16 or UTF-32; save it as UTF-8")
            piece = piece.removeprefix(UTF8_MARK)
        end = _end(piece) if raw else len(piece)
        self._kept, piece = piece[end:], piece[:end]
        if not piece:
            return self.piece(size) if raw else b""
        self._look(piece)
        self._line += piece.count(b"\n")
        self._last = piece[-1:]
        return with_marks(piece, self._mark) if b"\\u" in piece else piece

    def _look(self, piece: bytes) -> None:
        for encoded, name in LINE_BREAKS:
            place = piece.find(encoded)
            self._refuse(place >= 0, place, piece, f"contains the line break {name}; leave it out or escape it")
        if b"%TAG" in piece:
            found = re.search(rb"[\r\n]%TAG", self._last + piece)
            self._refuse(found is not None, 0, piece, "has a %TAG line; tags are not used here, leave it out")
        other = self._mark in piece or self._escaped.search(piece) is not None
        self._refuse(other, 0, piece, "holds characters for private use; send the same again")

    def _refuse(self, wrong: bool, place: int, piece: bytes, text: str) -> None:
        if wrong:
            self.mistakes.append(Mistake("", self._line + piece.count(b"\n", 0, place), text))
            raise Stop


def _end(piece: bytes) -> int:
    """Where a piece may end: not within a character of UTF-8, nor before the second half of a pair of escapes."""
    end = len(piece)
    found = piece.find(b"\\", max(0, end - OVERLAP))
    if found >= 0:
        while found > 0 and piece[found - 1 : found] == b"\\":
            found -= 1
        end = found
    else:
        percent = piece.find(b"%", max(0, end - 4))
        end = percent if percent >= 0 else end
    if end < len(piece) - LONGEST_KEPT:
        end = len(piece)
    back = end
    while back > 0 and end - back < 3 and piece[back - 1] & 0xC0 == 0x80:
        back -= 1
    if back > 0 and piece[back - 1] >= 0xC0:
        return back - 1
    return end
