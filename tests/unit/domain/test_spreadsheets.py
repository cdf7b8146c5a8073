"""Cells of CSV that a spreadsheet would execute get an apostrophe; all others stay as they are."""

import pytest

from app.domain.spreadsheets import guarded

BLANKS = ("", " ", "  ", "\u00a0", "\u2003", "\u3000", "\u200b", "\ufeff", "\x00", "\x1b", "\u2028", " \u00a0\x7f")


@pytest.mark.parametrize("before", BLANKS)
@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "＝", "＋", "－", "＠"])
def test_what_looks_like_a_formula_is_guarded_whatever_unseen_stands_before_it(before: str, sign: str) -> None:
    text = f"{before}{sign}cmd"
    assert guarded(text) == f"'{text}"


@pytest.mark.parametrize("text", ["\ta", "\r\na", "\na"])
def test_a_line_break_or_tab_at_the_beginning_is_guarded(text: str) -> None:
    assert guarded(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", " ", "a=1", "a-b", "'=1", "0-1", "\u200b", " a", "#=1", "é+"])
def test_all_else_stays_as_it_is(text: str) -> None:
    assert guarded(text) == text
