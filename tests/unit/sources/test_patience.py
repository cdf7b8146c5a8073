"""Since when a source is away: without a break, and for each way to it."""

import pytest

from app.sources.patience import BREAK, Absence, Absences, duration_text

WAY = ("https://source:443", "client")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def absences(clock: Clock) -> Absences:
    return Absences(clock)


def test_an_absence_counts_from_its_first_failure_and_tells_the_last_cause(absences: Absences, clock: Clock) -> None:
    assert absences.of(WAY) is None
    absences.gone(WAY, "connection refused")
    for _ in range(10):
        clock.now += 30
        absences.gone(WAY, "connect timed out after 5s")
    assert absences.of(WAY) == Absence("connect timed out after 5s", 300)


def test_any_answer_ends_it(absences: Absences, clock: Clock) -> None:
    absences.gone(WAY, "connection refused")
    absences.back(WAY)
    assert absences.of(WAY) is None
    clock.now += 30
    absences.gone(WAY, "connection refused")
    assert absences.of(WAY) == Absence("connection refused", 0)


def test_nobody_knows_of_a_time_in_which_nobody_tried(absences: Absences, clock: Clock) -> None:
    absences.gone(WAY, "connection refused")
    clock.now += BREAK
    assert absences.of(WAY) == Absence("connection refused", BREAK)
    clock.now += 1
    assert absences.of(WAY) is None
    absences.gone(WAY, "connection refused")
    assert absences.of(WAY) == Absence("connection refused", 0)


def test_a_client_whose_token_is_refused_is_away_while_another_is_served(absences: Absences) -> None:
    absences.gone(WAY, "token request of OAuth client client refused: HTTP 401")
    absences.back((WAY[0], "other"))
    assert absences.of(WAY) is not None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3600, "1h"), (5400, "90m"), (90, "90s"), (86400, "1d"), (7200, "2h"), (60, "1m"), (1.5, "1s"), (0.5, "1s")],
)
def test_durations_are_told_in_their_largest_whole_unit(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
