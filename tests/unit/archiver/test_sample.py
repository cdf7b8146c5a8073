"""The sample of a job: how many of its references, and which."""

import pytest

from app.archiver.sample import places


@pytest.mark.parametrize(
    ("total", "expected"),
    [
        (0, []),
        (1, [0]),
        (20, list(range(20))),
        (21, [0, 5, 10, 15, 20]),
        (1_000_001, [0, 250_000, 500_000, 750_000, 10**6]),
    ],
)
def test_the_sample_is_all_of_a_small_job_else_the_first_the_last_and_some_between(
    total: int, expected: list[int]
) -> None:
    assert places(total) == expected


@pytest.mark.parametrize(
    ("total", "wanted", "expected"),
    [(1000, 1, [0]), (1000, 2, [0, 999]), (10, 3, [0, 4, 9]), (3, 50, [0, 1, 2]), (1, 1, [0])],
)
def test_who_says_how_many_gets_so_many(total: int, wanted: int, expected: list[int]) -> None:
    assert places(total, wanted) == expected


@pytest.mark.parametrize("total", [50, 51, 99, 1_000_000])
def test_no_reference_is_in_the_sample_twice(total: int) -> None:
    assert len(set(places(total, 50))) == 50
