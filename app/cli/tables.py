"""Tables for a terminal, no wider than it: texts are cut or folded where needed, ids and times stay whole."""

import os
from collections.abc import Sequence
from typing import Literal

Narrow = Literal["never", "cut", "fold"]
"""What happens to a text where it is too narrow. What people copy is never cut."""

LEAST = 8
"""Characters that a column keeps."""

GAP = "  "

BOLD, DIM = "1", "2"
STYLES = {"succeeded": "32", "failed": "31", "partially-succeeded": "33", "paused": "33", "waiting": "33", "–": DIM}
"""Colours of words that people look for (SGR codes); the word itself always says the same."""


def drawn(
    titles: Sequence[str],
    cells: Sequence[Sequence[str]],
    right: Sequence[bool],
    narrow: Sequence[Narrow],
    width: int | None,
) -> str:
    """The lines of the table; without a width it is piped: plain, each row whole on one line."""
    colours = width is not None and not os.environ.get("NO_COLOR")
    widths = fitted([max(map(len, texts)) for texts in zip(titles, *cells, strict=True)], titles, narrow, width)
    lines = [_line(titles, widths, right, BOLD if colours else "")]
    for row in cells:
        parts = [_parts(text, room, how) for text, room, how in zip(row, widths, narrow, strict=True)]
        lines += [_row(parts, number, widths, right, colours) for number in range(max(map(len, parts)))]
    return "".join(line.rstrip() + "\n" for line in lines)


def fitted(natural: Sequence[int], titles: Sequence[str], narrow: Sequence[Narrow], width: int | None) -> list[int]:
    """Widths of the columns; the widest of those that may give way does so first."""
    widths = list(natural)
    least = [
        room if how == "never" else min(room, max(LEAST, len(title)))
        for room, title, how in zip(natural, titles, narrow, strict=True)
    ]
    while width is not None and sum(widths) + len(GAP) * (len(widths) - 1) > width:
        givers = [place for place, room in enumerate(widths) if room > least[place]]
        if not givers:
            break
        widths[max(givers, key=lambda place: widths[place])] -= 1
    return widths


def _parts(text: str, room: int, how: Narrow) -> list[str]:
    """The text on as many lines as it needs; never empty."""
    if len(text) <= room or how == "never":
        return [text]
    if how == "cut":
        return [text[: room - 1] + "…"]
    parts = []
    while len(text) > room:
        at = text.rfind(" ", 1, room + 1)
        at = at if at > 0 else room
        parts.append(text[:at])
        text = text[at:].lstrip(" ")
    return [*parts, text]


def _row(
    parts: Sequence[Sequence[str]], number: int, widths: Sequence[int], right: Sequence[bool], colours: bool
) -> str:
    shown = []
    for texts, room, at_right in zip(parts, widths, right, strict=True):
        text = texts[number] if number < len(texts) else ""
        padded = text.rjust(room) if at_right else text.ljust(room)
        style = STYLES.get(texts[0]) if colours else None
        shown.append(f"\x1b[{style}m{padded}\x1b[0m" if style and text else padded)
    return GAP.join(shown)


def _line(titles: Sequence[str], widths: Sequence[int], right: Sequence[bool], style: str) -> str:
    padded = [
        title.rjust(room) if at_right else title.ljust(room)
        for title, room, at_right in zip(titles, widths, right, strict=True)
    ]
    line = GAP.join(padded).rstrip()
    return f"\x1b[{style}m{line}\x1b[0m" if style else line
