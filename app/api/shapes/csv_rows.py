"""Rows of CSV (RFC 4180) that every spreadsheet splits in the same way, and in which it executes nothing."""

import re
from collections.abc import Iterable

_QUOTED = re.compile(r'[",;\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]|^\s|\s$')
"""What must stand in quotes, and what else ends a line for some readers; some spreadsheets divide at ; and tabs too."""

_FORMULA = tuple("=+-@＝＋－＠")
_BREAKS = tuple("\t\r\n")
"""What a spreadsheet takes for the beginning of a formula, or drops in front of one."""


def csv_row(values: Iterable[str | int | None]) -> bytes:
    """A line. None is an empty cell; a text gets an apostrophe where a spreadsheet would execute it."""
    return plain_row(guarded(value) if isinstance(value, str) else value for value in values)


def plain_row(values: Iterable[str | int | None]) -> bytes:
    """A line of texts that are `guarded` already where they need it."""
    return (",".join("" if value is None else _quoted(str(value)) for value in values) + "\r\n").encode()


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text


def guarded(text: str) -> str:
    """A text that no spreadsheet executes, also after blanks and invisible characters.

    Numbers are not texts; a minus before a number is harmless.
    """
    if text.startswith(_BREAKS):
        return f"'{text}"
    if text[:1].isalnum():
        return text
    seen = next((place for place, c in enumerate(text) if c != " " and c.isprintable()), len(text))
    return f"'{text}" if text.startswith(_FORMULA, seen) else text
