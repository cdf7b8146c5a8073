"""Since when a component is, or is not, well; and a configuration that was refused."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain import readiness as module
from app.domain.readiness import BROKER, DATABASE, STALE, UNWATCHED, ComponentState, Readiness

NOON = datetime(2026, 5, 8, 12, tzinfo=UTC)


class Clock:
    """Both clocks: each look at the time of day is one minute later than the last step."""

    def __init__(self) -> None:
        self.minutes = 0
        self.steady = 1000.0

    def now(self) -> datetime:
        return at(self.minutes)

    def step(self) -> None:
        self.minutes += 1


def at(minutes: int) -> datetime:
    return NOON + timedelta(minutes=minutes)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", lambda: clock.steady)
    return clock


@pytest.fixture
def readiness(clock: Clock) -> Readiness:
    return Readiness((DATABASE, BROKER), clock.now)


def test_what_was_never_seen_is_not_well_since_the_start(readiness: Readiness, clock: Clock) -> None:
    clock.step()
    readiness.probe_failed(BROKER, "connection refused")
    assert readiness.conditions == [
        ComponentState(DATABASE, at(0), "not seen yet"),
        ComponentState(BROKER, at(0), "connection refused"),
    ]


def test_what_was_seen_is_well_since_then_also_after_later_looks(readiness: Readiness, clock: Clock) -> None:
    for _ in range(3):
        clock.step()
        readiness.probe_succeeded(DATABASE)
    assert readiness.conditions[0] == ComponentState(DATABASE, at(1), None)
    assert readiness.conditions[0].well
    assert not readiness.conditions[1].well


def test_an_outage_begins_with_its_first_report_and_ends_with_its_last(readiness: Readiness, clock: Clock) -> None:
    readiness.probe_succeeded(BROKER)
    clock.step()
    readiness.work_waits(BROKER, "no answer")
    clock.step()
    readiness.probe_failed(BROKER, "connection refused")
    clock.step()
    readiness.work_waits(BROKER, "no answer within 5 s")
    assert readiness.conditions[1] == ComponentState(BROKER, at(1), "connection refused")
    readiness.probe_succeeded(BROKER)
    assert readiness.conditions[1] == ComponentState(BROKER, at(1), "no answer within 5 s")
    clock.step()
    readiness.work_goes_on(BROKER)
    clock.step()
    readiness.work_goes_on(BROKER)
    assert readiness.conditions[1] == ComponentState(BROKER, at(4), None)


def test_a_watch_that_overrules_work_ends_the_outage(readiness: Readiness, clock: Clock) -> None:
    readiness.probe_succeeded(BROKER)
    readiness.work_waits(BROKER, "no answer")
    clock.step()
    clock.steady += STALE + 1
    readiness.probe_succeeded(BROKER)
    assert readiness.conditions[1] == ComponentState(BROKER, at(1), None)


def test_a_topic_is_listed_while_work_waits_for_it(readiness: Readiness, clock: Clock) -> None:
    readiness.work_waits("topic b", "too large")
    clock.step()
    readiness.work_waits("topic a", "too large")
    readiness.work_waits("topic b", "still too large")
    assert readiness.conditions[2:] == [
        ComponentState("topic a", at(1), "too large"),
        ComponentState("topic b", at(0), "still too large"),
    ]
    clock.steady += UNWATCHED + 1
    clock.step()
    assert [each.name for each in readiness.conditions] == [DATABASE, BROKER]
    readiness.work_waits("topic a", "too large")
    assert readiness.conditions[2:] == [ComponentState("topic a", at(2), "too large")]


def test_a_configuration_is_refused_since_its_first_mistake_until_it_is_taken(
    readiness: Readiness, clock: Clock
) -> None:
    assert readiness.configuration == ComponentState("configuration", at(0), None)
    clock.step()
    readiness.configuration_refused("topic: missing")
    clock.step()
    readiness.configuration_refused("uri: missing")
    assert readiness.configuration == ComponentState("configuration", at(1), "uri: missing")
    assert readiness.problems["configuration"] == "uri: missing"
    clock.step()
    readiness.configuration_taken()
    assert readiness.configuration == ComponentState("configuration", at(3), None)
    assert "configuration" not in readiness.problems


def test_a_refused_configuration_keeps_nobody_out(readiness: Readiness) -> None:
    for component in (DATABASE, BROKER):
        readiness.probe_succeeded(component)
    readiness.configuration_refused("topic: missing")
    assert readiness.ready
    assert all(each.well for each in readiness.conditions), "it is no component"
