"""Conditions: what holds where a value is there, is not, or is of another kind."""

from decimal import Decimal
from typing import Any

import pytest

from app.domain.errors import InvalidMessage
from tests.unit.live.live_types import MESSAGE, decided


def holds(condition: str, payload: Any) -> bool:
    return (
        decided(f"condition: [{{path: payload.v, {condition}}}]", message={**MESSAGE, "payload": payload}) is not None
    )


NOT_THERE: list[Any] = [{}, {"v": None}, None, [], "text", {"V": 1}]


@pytest.mark.parametrize("payload", NOT_THERE)
def test_where_the_path_is_not_there_only_not_equals_and_exists_false_hold(payload: Any) -> None:
    assert holds("notEquals: a", payload)
    assert holds("exists: false", payload)
    assert not holds("exists: true", payload)
    assert not holds("equals: a", payload)
    assert not holds("equals: false", payload)
    assert not holds("equals: 0", payload)
    assert not holds("equals: ''", payload)
    assert not holds("in: [a, b]", payload)
    assert not holds("matches: '.*'", payload)


@pytest.mark.parametrize("value", [False, 0, "", [], {}])
def test_what_is_empty_is_there(value: Any) -> None:
    assert holds("exists: true", {"v": value})
    assert not holds("exists: false", {"v": value})


@pytest.mark.parametrize(
    ("wanted", "value"),
    [
        ("a", "a"),
        ("'1'", "1"),
        ("1", 1),
        ("1", 1.0),
        ("1", Decimal("1.00")),
        ("1.0", 1),
        ("1.0", Decimal(1)),
        ("0.1", 0.1),
        ("0.1", Decimal("0.10")),
        ("-0.0", 0),
        ("1e3", 1000),
        ("12345678901234567890123", 12345678901234567890123),
        ("9007199254740993", Decimal(9007199254740993)),
        ("true", True),
        ("false", False),
        ("'true'", "true"),
        ("yes", "yes"),
    ],
)
def test_equal_values_are_equal_however_they_are_written(wanted: str, value: Any) -> None:
    assert holds(f"equals: {wanted}", {"v": value})
    assert not holds(f"notEquals: {wanted}", {"v": value})
    assert holds(f"in: [zzz, {wanted}]", {"v": value})


@pytest.mark.parametrize(
    ("wanted", "value"),
    [
        ("a", "A"),
        ("a", "a "),
        ("1", True),
        ("true", 1),
        ("0", False),
        ("false", 0),
        ("true", "true"),
        ("1", "1"),
        ("'1'", 1),
        ("0.1", Decimal("0.1000000000000000055511151231257827021181583404541015625")),
        ("9007199254740993", 9007199254740992.0),
        ("1", Decimal("1e999999999999")),
        ("1", float("nan")),
        ("1", [1]),
        ("a", {"a": 1}),
    ],
)
def test_other_values_are_not_equal(wanted: str, value: Any) -> None:
    assert not holds(f"equals: {wanted}", {"v": value})
    assert holds(f"notEquals: {wanted}", {"v": value})
    assert not holds(f"in: [{wanted}]", {"v": value})


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("DOC-[0-9]+", "DOC-12", True),
        ("DOC-[0-9]+", "a DOC-12", False),
        ("DOC-[0-9]+", "DOC-12\n", False),
        ("a|bc", "ab", False),
        ("a|bc", "bc", True),
        ("^a$", "a", True),
        (r"\d", "\u0663", False),
        (r"\u{1F600}", "\U0001f600", True),
        ("(?=ab)..", "ab", True),
        (".*", "a\nb", False),
        ("", "", True),
        (".*", "\ud800", False),
    ],
)
def test_a_pattern_is_for_the_whole_text(pattern: str, text: str, matches: bool) -> None:
    assert holds(f"matches: '{pattern}'", {"v": text}) is matches


@pytest.mark.parametrize("value", [7, True, ["a"], {"a": "a"}])
def test_a_pattern_matches_text_only(value: Any) -> None:
    assert not holds("matches: '.*'", {"v": value})


def test_a_pattern_that_goes_back_without_end_makes_a_dead_letter() -> None:
    with pytest.raises(InvalidMessage) as caught:
        holds(r"matches: '(a|aa)+\1c'", {"v": "a" * 4000})
    assert str(caught.value) == "M: condition[0].matches: the pattern takes too many steps on the text at payload.v"


def test_all_conditions_have_to_hold() -> None:
    final, high = "{path: payload.kind, equals: final}", "{path: payload.amount, equals: 2}"
    assert decided(f"condition: [{final}]") is not None
    assert decided(f"condition: [{final}, {high}]") is None
    assert decided(f"condition: [{high}, {final}]") is None


def test_a_list_that_a_path_makes_exists_where_the_list_does() -> None:
    assert decided("condition: [{path: 'payload.items[*].x', exists: true}]") is not None
    assert decided("condition: [{path: 'payload.kind[*]', exists: true}]") is None
    assert decided("condition: [{path: 'payload.items[2].id', equals: 3}]") is not None


def test_the_envelope_can_be_asked_too() -> None:
    assert decided("condition: [{path: type.version, equals: 1.0.0}]") is not None
