"""The rules for ids and texts: what is wrong is said without the text itself."""

import pytest

from app.domain.reference_rules import BLANK, MAX_ID, id_fault, text_fault


@pytest.mark.parametrize("value", ["a", " a ", "a\u00a0b", "ä/ö ?&=+% 😀", "x" * MAX_ID, "...", "\u200b"])
def test_an_id_may_have_any_character_that_is_none_of_control(value: str) -> None:
    assert id_fault(value) is None


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("", BLANK),
        ("\u3000 ", BLANK),
        ("x" * 513, "has 513 characters, at most 512 are allowed"),
        ("secret\x85", "contains the control character U+0085; leave it out"),
        ("secret\udfff", "contains half of a surrogate pair, which has no UTF-8"),
        (".", "cannot be an id: it would change the path of the source's address"),
        ("..", "cannot be an id: it would change the path of the source's address"),
    ],
)
def test_what_is_wrong_with_an_id_is_said_without_it(value: str, fault: str) -> None:
    assert id_fault(value) == fault


def test_other_texts_may_be_dots() -> None:
    assert text_fault("..", 10) is None
    assert text_fault("x" * 11, 10) == "has 11 characters, at most 10 are allowed"
