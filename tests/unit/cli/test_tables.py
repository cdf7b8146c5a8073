"""Tables fit the terminal: ids stay whole, texts give way."""

import re

import pytest

from app.cli.tables import Narrow, drawn

ID = "88dbb65f-9634-4685-bc86-17b72d715d3e"
HOW: list[Narrow] = ["never", "cut", "fold", "never"]
TITLES = ["JOB", "MESSAGE", "ERROR", "N"]
ROW = [ID, "A" * 60, "Failed reading artifact from source service: HTTP 404", "1,234"]


def plain(width: int | None) -> list[str]:
    text = drawn(TITLES, [ROW], [False, False, False, True], HOW, width)
    return re.sub(r"\x1b\[\d+m", "", text).splitlines()


@pytest.mark.parametrize("width", [80, 100, 120, 150])
def test_it_is_no_wider_than_the_terminal_and_ids_and_numbers_are_whole(width: int) -> None:
    lines = plain(width)
    assert max(map(len, lines)) <= width
    assert ID in lines[1]
    assert "1,234" in lines[1]
    assert "…" in lines[1]


def test_what_is_folded_is_all_there() -> None:
    start = plain(100)[0].index("ERROR")
    folded = " ".join(line[start:].removesuffix("1,234").strip() for line in plain(100)[1:])
    assert folded == ROW[2]


def test_what_cannot_give_way_is_left_to_the_terminal() -> None:
    assert ID in plain(10)[1]


def test_piped_each_row_is_whole_and_on_one_line_without_codes() -> None:
    text = drawn(TITLES, [ROW], [False] * 4, HOW, None)
    assert len(text.splitlines()) == 2
    assert "\x1b" not in text
    assert all(each in text for each in ROW)


def test_colours_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b[1m" in drawn(TITLES, [ROW], [False] * 4, HOW, 200)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in drawn(TITLES, [ROW], [False] * 4, HOW, 200)
