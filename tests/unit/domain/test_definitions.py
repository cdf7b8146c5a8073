"""What a changed configuration means for the keys that are applied."""

from app.domain.definitions import DefinedKey, change
from tests.support.metadata import paths

APPLIED = (DefinedKey("a", "x.a", 1, True), DefinedKey("b", "x.b", 2, True))


def test_a_new_key_is_affected_and_has_its_path_from_this_revision() -> None:
    found = change(APPLIED, paths(a="x.a", b="x.b", c="x.c"), 3)
    assert found is not None
    assert found.keys == (*APPLIED, DefinedKey("c", "x.c", 3, True))
    assert found.affected == ("c",)


def test_a_changed_path_is_affected_and_makes_older_values_stale() -> None:
    found = change(APPLIED, paths(a="y.a", b="x.b"), 3)
    assert found is not None
    assert found.keys[0] == DefinedKey("a", "y.a", 3, True)
    assert found.affected == ("a",)


def test_a_removed_key_stays_inactive_and_affects_nothing() -> None:
    found = change(APPLIED, paths(b="x.b"), 3)
    assert found is not None
    assert found.keys == (APPLIED[1], DefinedKey("a", "x.a", 1, False))
    assert found.affected == ()


def test_a_key_that_comes_back_with_its_path_fills_what_is_absent() -> None:
    removed = (APPLIED[1], DefinedKey("a", "x.a", 1, False))
    found = change(removed, paths(b="x.b", a="x.a"), 3)
    assert found is not None
    assert found.keys == (APPLIED[1], DefinedKey("a", "x.a", 1, True)), "values of revision 1 are as good as new ones"
    assert found.affected == ("a",)


def test_a_key_that_comes_back_with_another_path_overwrites() -> None:
    found = change((DefinedKey("a", "x.a", 1, False),), paths(a="y.a"), 3)
    assert found is not None
    assert found.keys == (DefinedKey("a", "y.a", 3, True),)
    assert found.affected == ("a",)


def test_another_order_is_a_change_that_affects_nothing() -> None:
    found = change(APPLIED, paths(b="x.b", a="x.a"), 3)
    assert found is not None
    assert [key.key for key in found.keys] == ["b", "a"]
    assert found.affected == ()


def test_the_same_is_no_change() -> None:
    assert change(APPLIED, paths(a="x.a", b="x.b"), 3) is None
    assert change((), (), 1) is None
    removed = (APPLIED[1], DefinedKey("a", "x.a", 1, False))
    assert change(removed, paths(b="x.b"), 3) is None


def test_the_first_definition_is_all_new() -> None:
    found = change((), paths(a="x.a", b="x.b"), 1)
    assert found is not None
    assert found.affected == ("a", "b")
    assert {key.path_revision for key in found.keys} == {1}
