"""Since when a source is away: without a break, and for each way to it."""

from contextlib import suppress

import pytest

from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.errors import PermanentFailure, TransientFailure
from app.sources.outages import Outages
from app.sources.patience import BREAK, Absence, duration_text, way_of

ONE = ArchiveTypeConfiguration("Decree", "t", "https://source/{id}", "client")
OTHER = ArchiveTypeConfiguration("Tax", "t", "https://source/tax/{id}", "other")
WAY = way_of(ONE)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Absences(Outages):
    def gone(self, cause: str) -> None:
        self._ask(ONE, TransientFailure(cause, unreachable=True, no_connection=True))

    def back(self, of: ArchiveTypeConfiguration = ONE, answer: Exception | None = None) -> None:
        self._ask(of, answer)

    def _ask(self, of: ArchiveTypeConfiguration, end: Exception | None) -> None:
        with suppress(TransientFailure, PermanentFailure), self.noting(of):
            if end is not None:
                raise end


@pytest.fixture
def absences(clock: Clock) -> Absences:
    return Absences(clock)


def test_an_absence_counts_from_its_first_failure_and_tells_the_last_cause(absences: Absences, clock: Clock) -> None:
    assert absences.absence(WAY) is None
    absences.gone("connection refused")
    for _ in range(10):
        clock.now += 30
        absences.gone("connect timed out after 5s")
    assert absences.absence(WAY) == Absence("connect timed out after 5s", 300)


ANSWERS = [
    None,
    PermanentFailure("HTTP 404"),
    TransientFailure("HTTP 500", unreachable=True),
    TransientFailure("HTTP 408"),
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_any_answer_ends_it(absences: Absences, clock: Clock, answer: Exception | None) -> None:
    absences.gone("connection refused")
    absences.back(answer=answer)
    assert absences.absence(WAY) is None
    clock.now += 30
    absences.gone("connection refused")
    assert absences.absence(WAY) == Absence("connection refused", 0)


def test_nobody_knows_of_a_time_in_which_nobody_tried(absences: Absences, clock: Clock) -> None:
    absences.gone("connection refused")
    clock.now += BREAK
    assert absences.absence(WAY) == Absence("connection refused", BREAK)
    clock.now += 1
    assert absences.absence(WAY) is None
    absences.gone("connection refused")
    assert absences.absence(WAY) == Absence("connection refused", 0)


def test_a_client_whose_token_is_refused_is_away_while_another_is_served(absences: Absences) -> None:
    absences.gone("token request of OAuth client client refused: HTTP 401")
    absences.back(OTHER)
    assert absences.absence(WAY) is not None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3600, "1h"), (5400, "90m"), (90, "90s"), (86400, "1d"), (7200, "2h"), (60, "1m"), (1.5, "1s"), (0.5, "1s")],
)
def test_durations_are_told_in_their_largest_whole_unit(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
