"""Names that there are, the nearest first."""

from app.domain.nearest import listed, nearest_first, there_are


def test_what_is_like_it_comes_first_and_the_others_keep_their_order() -> None:
    assert nearest_first("stat", ["limit", "cursor", "state"]) == ["state", "limit", "cursor"]
    assert nearest_first("zzz", ["limit", "cursor", "state"]) == ["limit", "cursor", "state"]


def test_case_is_no_difference() -> None:
    assert nearest_first("OSVRECORD", ["Other", "OsvRecords", "OsvRecord"])[:2] == ["OsvRecord", "OsvRecords"]


def test_what_does_not_fit_is_counted() -> None:
    assert listed(["a", "b", "c"], 2) == "a, b and 1 more"
    assert listed(["a", "b"], 2) == "a, b"
    assert there_are("x", [f"n{number}" for number in range(30)]).endswith(" and 20 more")


def test_where_there_is_nothing_that_is_said() -> None:
    assert there_are("x", []) == "there are none"


def test_a_long_name_among_many_is_answered_all_the_same() -> None:
    assert len(nearest_first("x" * 100_000, [f"n{number}" for number in range(3_000)])) == 3_000
