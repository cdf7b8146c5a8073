"""What a sample tells of the whole job: bytes, time, day and cost."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.forecast import (
    GIB,
    ITSELF,
    Cost,
    Forecast,
    Pace,
    Price,
    SampleResult,
    Spread,
    cost_of,
    duration,
    forecast,
    total,
)

NOW = datetime(2026, 5, 8, 22, 0, tzinfo=UTC)
PACE = Pace(now=8, expected=64, most=64)


def of(*answers: SampleResult, references: int = 1000, price: Price | None = None) -> Forecast:
    return forecast(answers, references, PACE, price, NOW)


@given(
    st.lists(st.floats(0, 1e9), min_size=1, max_size=50),
    st.integers(0, 10**6),
    st.integers(1, 64),
    st.integers(1, 64),
)
def test_likely_is_always_between_low_and_high(sample: list[float], more: int, now: int, expected: int) -> None:
    references = len(sample) + more
    pace = Pace(min(now, expected), expected, 64, rest=1.0)
    for low, likely, high in (total(sample, references), duration(sample, references, pace)):
        assert 0 <= low <= likely * (1 + 1e-9)
        assert likely <= high * (1 + 1e-9)


def test_a_sample_of_everything_is_certain() -> None:
    assert total([1, 2, 6], 3) == Spread(9, 9, 9)


def test_the_average_of_the_sample_is_likely_for_all() -> None:
    low, likely, high = total([100, 200, 300, 400, 500], 10_000)
    assert likely == 3_000_000
    assert (round(low), round(high)) == (1_055_845, 4_944_155)


def test_a_larger_sample_is_surer() -> None:
    few, many = total([100, 300] * 3, 10_000), total([100, 300] * 25, 10_000)
    assert many.likely == few.likely
    assert many.low > few.low
    assert many.high < few.high


def test_of_a_sample_of_one_half_and_double_are_the_bounds() -> None:
    assert total([10], 100) == Spread(500, 1000, 2000)


def test_there_is_never_less_than_the_sample_has() -> None:
    assert total([0, 0, 0, 0, 7000], 100_000).low == 7000


def test_time_is_that_of_the_sample_over_the_requests_at_once() -> None:
    assert duration([0.64] * 5, 10_000, PACE) == Spread(100, 100, 800)
    assert duration([0.64] * 5, 10_000, Pace(2, 32, 64, rest=30)) == Spread(130, 230, 3230)


def test_half_of_the_slots_is_what_a_source_gets_beside_others() -> None:
    assert duration([0.64] * 5, 10_000, Pace(64, 64, 64)).high == 200


def test_a_job_with_fewer_references_than_slots_takes_one_answer() -> None:
    assert duration([2.0] * 2, 2, PACE) == Spread(2, 2, 2)


def test_a_quick_source_does_not_make_the_process_quicker_than_it_is() -> None:
    assert duration([0.0001] * 5, 1_000_000, PACE) == Spread(*(1_000_000 * each for each in ITSELF))


def test_the_day_is_the_latest_of_the_sample_counted_from_the_likely_end() -> None:
    slow = SampleResult(100, 64 * 8.64, 90)
    found = of(slow, slow._replace(retention_days=30))
    assert found.seconds is not None
    assert found.seconds.likely == 8640
    assert found.locked_until == found.day_after(90) == date(2026, 8, 7)  # after midnight
    assert found.day_after(30) == date(2026, 6, 8)


def test_without_lock_there_is_no_day_and_no_cost() -> None:
    found = of(SampleResult(100, 0.1), price=Price(1, "CHF"))
    assert (found.locked_until, found.cost) == (None, None)
    assert found.bytes is not None


def test_references_without_a_document_count_with_no_bytes() -> None:
    found = of(SampleResult(400, 0.1, 90), SampleResult(0, 0.1))
    assert found.bytes is not None
    assert found.bytes.likely == 200_000
    assert found.locked_until == date(2026, 8, 6)


def test_without_a_document_bytes_day_and_cost_are_not_known() -> None:
    found = of(SampleResult(0, 0.1), price=Price(1, "CHF"))
    assert (found.references, found.bytes, found.locked_until, found.cost) == (1000, None, None, None)
    assert found.seconds is not None


def test_without_an_answer_nothing_is_known() -> None:
    found = of()
    assert (found.bytes, found.seconds, found.locked_until, found.cost) == (None, None, None, None)


def test_the_cost_is_that_of_the_likely_bytes_to_the_day() -> None:
    found = of(SampleResult(GIB, 0.1, 365), references=1, price=Price(0.02, "CHF"))
    assert found.cost == Cost(0.24, "CHF")


@pytest.mark.parametrize(
    ("size", "price", "amount"), [(100 * GIB, 1, 1199.18), (GIB, 0, 0), (1000, 0.02, 2.23e-07), (GIB, 0.05, 0.6)]
)
def test_an_amount_has_the_digits_that_mean_something(size: float, price: float, amount: float) -> None:
    assert cost_of(size, 365, Price(price, "CHF")).amount == amount
