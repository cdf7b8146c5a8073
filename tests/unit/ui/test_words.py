"""Numbers, sizes and times as the page writes them; bars."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.errors import Unavailable
from app.domain.readiness import DATABASE
from app.ui import bars, texts, words
from app.ui.bars import bar

NOW = datetime(2026, 5, 8, 7, 26, 37, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


def test_moments_say_how_long_ago_and_when_exactly() -> None:
    assert words.relative(NOW - timedelta(minutes=3), NOW) == "3 min ago"
    assert words.relative(NOW + timedelta(seconds=5), NOW) == "in 5 s"
    assert words.relative(NOW, NOW) == "now"
    assert words.exact(NOW) == "2026-05-08 07:26:37 UTC"
    assert words.machine(NOW) == "2026-05-08T07:26:37Z"
    assert words.day(NOW) == "2026-05-08"


def test_numbers_sizes_and_shares() -> None:
    assert words.number(1234567) == "1,234,567"
    assert [words.size(n) for n in (0, 1023, 1600, 3 * 1024**4 * 1024)] == ["0 B", "1,023 B", "1.6 KiB", "3,072 TiB"]
    assert [words.per_second(n) for n in (0.25, 99.9, 1234.5)] == ["0.2", "99.9", "1,234"]
    shares = [words.share(*n) for n in ((0, 0), (0, 5), (1, 1000), (999, 1000), (5, 5))]
    assert shares == ["0 %", "0 %", "under 1 %", "99 %", "100 %"]


def test_values_are_shown_without_quotes_and_with_every_digit() -> None:
    shown = [words.value(text) for text in ('"say \\"x\\""', "1.10", "null", '["a",1e400]')]
    assert shown == ['say "x"', "1.10", "null", '["a",1e400]']


class Counts:
    def __init__(self, total: int, succeeded: int, failed: int) -> None:
        self.total, self.succeeded, self.failed = total, succeeded, failed


def test_a_single_failure_of_a_million_is_seen_in_the_bar() -> None:
    html = bar(Counts(1_000_000, 999_999, 1))
    assert 'class="bad"' not in html, "there is no room beside all the others"
    assert 'class="bad" x="500" width="6"' in bar(Counts(1_000_000, 500_000, 1))
    assert bars.WIDTH == 1000


def test_outages_are_said_in_words() -> None:
    assert texts.away(Unavailable(DATABASE, "secret")).startswith("The database cannot be reached")


def test_details_of_an_entry_are_no_code() -> None:
    assert words.plain({"failed": 2, "keys": ["a", "b"]}) == "failed 2, keys a, b"
