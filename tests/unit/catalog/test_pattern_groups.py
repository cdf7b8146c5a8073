"""Groups of patterns are counted as ECMA-262 does: in the order of their parentheses, outside of classes."""

import pytest

from app.catalog.pattern_groups import capturing_groups, group_name, referred_groups


def test_groups_are_counted_with_and_without_names() -> None:
    assert capturing_groups(r"(a)(?:b)(?<c>[(])\((?=(d))(?<\u0065>f)") == ([None, "c", None, "e"], {"c": 2, "e": 4})


def test_of_groups_with_one_name_the_first_has_it() -> None:
    assert capturing_groups("(?<a>x)|(?<a>y)") == (["a", "a"], {"a": 1})


@pytest.mark.parametrize(
    ("pattern", "numbers"),
    [(r"(a)(b)\2", {2}), (r"\12", {12}), (r"(?<n>a)\k<n>", {1}), (r"\\1[\1]", set()), (r"\k<none>(?<n>a)", set())],
)
def test_references_are_found_outside_of_classes(pattern: str, numbers: set[int]) -> None:
    assert referred_groups(pattern, capturing_groups(pattern)[1]) == numbers


def test_a_name_may_be_written_with_escapes() -> None:
    assert group_name(r"\u{61}b\u0063") == "abc"
