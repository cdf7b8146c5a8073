"""Whether a task costs more than it did, and how sure that is."""

import random

import pytest

from bench.check import MOST, judge


@pytest.mark.parametrize(
    ("rounds", "is_above", "least_sure", "most_sure"),
    [
        ([2.0, 2.02, 1.98, 2.01, 2.0], False, 1.0, 1.0),
        ([2.5, 2.52, 2.48, 2.51, 2.5], True, 1.0, 1.0),
        ([2.0, 2.6, 2.31, 2.2, 2.5], True, 0.5, 0.8),
        ([2.0, 2.6, 2.29, 2.2, 2.5], False, 0.5, 0.8),
    ],
)
def test_rounds_are_judged(rounds: list[float], is_above: bool, least_sure: float, most_sure: float) -> None:
    judged = judge(rounds, 2.0, random.Random(1))
    assert judged.is_above is is_above
    assert judged.limit == 2.0 * MOST
    assert least_sure <= judged.sure <= most_sure
