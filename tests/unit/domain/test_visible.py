import pytest

from app.domain.visible import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("DOC-2024 é 😀", "DOC-2024 é 😀"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
        ("\x1b[31m\x9b", "\\x1b[31m\\x9b"),
        ("a\nb\tc", "a\\nb\\tc"),
    ],
)
def test_what_cannot_be_seen_is_an_escape(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_breaks_may_stay() -> None:
    assert visible("a\nb\tc\r", breaks=True) == "a\nb\tc\\x0d"
