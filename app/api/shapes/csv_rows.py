"""Rows of CSV (RFC 4180) that every spreadsheet splits in the same way, and in which it executes nothing."""

import re
from collections.abc import Iterable

from app.domain.spreadsheets import guarded

_QUOTED = re.compile(r'[",;\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]|^\s|\s$')
"""What must stand in quotes, and what else ends a line for some readers; some spreadsheets divide at ; and tabs too."""


def csv_row(values: Iterable[str | int | None]) -> bytes:
    """A line. None is an empty cell; a text gets an apostrophe where a spreadsheet would execute it."""
    return plain_row(guarded(value) if isinstance(value, str) else value for value in values)


def plain_row(values: Iterable[str | int | None]) -> bytes:
    """A line of texts that are `guarded` already where they need it."""
    return (",".join("" if value is None else _quoted(str(value)) for value in values) + "\r\n").encode()


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text
