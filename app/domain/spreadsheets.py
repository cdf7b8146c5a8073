"""Texts in cells of CSV: of what looks like a formula a spreadsheet would execute something."""

_FORMULA = tuple("=+-@＝＋－＠")
_BREAKS = tuple("\t\r\n")
"""What a spreadsheet takes for the beginning of a formula, or drops in front of one."""


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
