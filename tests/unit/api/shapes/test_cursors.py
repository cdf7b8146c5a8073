"""A cursor is for lists of the same only, and for the place that it was made for."""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import product
from uuid import UUID

import pytest

from app.api.http.problems import ApiProblem
from app.api.shapes.cursors import (
    MISTAKE,
    ListOf,
    cursor_at,
    place_of,
    read_number_cursor,
    read_position_cursor,
    read_started_cursor,
    started_cursor,
)

AT = datetime(2026, 5, 8, 7, 26, 37, tzinfo=UTC)
ID = UUID("88dbb65f-9634-4685-bc86-17b72d715d3e")
READERS: list[Callable[[ListOf, str], object]] = [read_number_cursor, read_position_cursor, read_started_cursor]


def test_a_cursor_names_the_place_that_it_was_made_for() -> None:
    for of in ListOf:
        assert place_of(of, cursor_at(of, "a:b é")) == "a:b é"
        assert read_started_cursor(of, started_cursor(of, AT, ID)) == (AT, ID)
        assert read_number_cursor(of, cursor_at(of, 2**63 - 1)) == 2**63 - 1
        assert read_position_cursor(of, cursor_at(of, 7)) == 7
    assert (read_started_cursor(ListOf.JOBS, None), read_position_cursor(ListOf.REFERENCES, None)) == (None, -1)


@pytest.mark.parametrize(("of", "other"), [pair for pair in product(ListOf, ListOf) if pair[0] is not pair[1]])
def test_a_cursor_of_another_list_is_refused(of: ListOf, other: ListOf) -> None:
    for read, cursor in product(READERS, (cursor_at(other, 7), started_cursor(other, AT, ID))):
        with pytest.raises(ApiProblem) as refused:
            read(of, cursor)
        assert refused.value.status == 400
        assert [(each.path, each.message) for each in refused.value.errors] == [("cursor", MISTAKE)]
    with pytest.raises(ValueError, match="of another list"):
        place_of(of, cursor_at(other, 7))


@pytest.mark.parametrize("text", ["7", "x", "=", "é", "", "am9iOjc=", "am9i", "am9iOjc!", "a" * 200, "2026-05-08"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    for read in READERS:
        with pytest.raises(ApiProblem):
            read(ListOf.JOBS, text)


def test_numbers_that_no_database_holds_are_refused() -> None:
    for number in (-1, 2**63, "9" * 30, "٣", "1 ", ""):
        with pytest.raises(ApiProblem):
            read_number_cursor(ListOf.AUDIT, cursor_at(ListOf.AUDIT, number))
    with pytest.raises(ApiProblem):
        read_position_cursor(ListOf.REFERENCES, cursor_at(ListOf.REFERENCES, 2**31))
