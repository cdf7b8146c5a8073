"""Topics that do not take what is sent: named beside the components, and forgotten when nobody says it any more."""

import pytest

from app.domain import readiness as module
from app.domain.readiness import BROKER, DATABASE, SCHEMA_REGISTRY, UNWATCHED, Readiness, topic_named

TOPIC = topic_named("commands")


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    clock = [1000.0]
    monkeypatch.setattr(module, "monotonic", lambda: clock[0])
    return clock


def seen() -> Readiness:
    readiness = Readiness((DATABASE, BROKER))
    readiness.probe_succeeded(DATABASE)
    readiness.probe_succeeded(BROKER)
    return readiness


def test_a_topic_has_a_problem_of_its_own_and_submissions_are_accepted() -> None:
    readiness = seen()
    assert readiness.work_waits(TOPIC, "set its max.message.bytes")
    assert readiness.problems == {"topic commands": "set its max.message.bytes"}
    assert readiness.ready
    readiness.work_goes_on(BROKER)
    assert TOPIC in readiness.problems, "other topics say nothing of this one"


def test_an_optional_component_is_named_as_the_others_and_the_service_is_ready_without_it(now: list[float]) -> None:
    readiness = Readiness((DATABASE, BROKER), optional=(SCHEMA_REGISTRY,))
    readiness.probe_succeeded(DATABASE)
    readiness.probe_succeeded(BROKER)
    assert readiness.ready
    assert readiness.problems == {SCHEMA_REGISTRY: "not seen yet"}
    readiness.probe_failed(SCHEMA_REGISTRY, "connection refused")
    readiness.work_waits(SCHEMA_REGISTRY, "connection refused")
    now[0] += UNWATCHED + 1
    readiness.probe_failed(SCHEMA_REGISTRY, "HTTP 503")
    assert readiness.problems == {SCHEMA_REGISTRY: "HTTP 503"}
    assert readiness.ready
    readiness.probe_succeeded(SCHEMA_REGISTRY)
    assert readiness.problems == {}


def test_the_problem_of_a_topic_is_forgotten_when_no_work_says_it_any_more(now: list[float]) -> None:
    readiness = seen()
    readiness.work_waits(TOPIC, "too large")
    now[0] += UNWATCHED
    assert TOPIC in readiness.problems
    assert not readiness.work_waits(TOPIC, "too large")
    now[0] += UNWATCHED
    assert TOPIC in readiness.problems
    now[0] += 1
    assert readiness.problems == {}


def test_a_problem_that_comes_again_after_it_was_forgotten_is_news(now: list[float]) -> None:
    readiness = seen()
    readiness.work_waits(TOPIC, "too large")
    now[0] += UNWATCHED + 1
    assert readiness.work_waits(TOPIC, "too large")


def test_what_work_said_of_a_component_with_a_watch_stays(now: list[float]) -> None:
    readiness = seen()
    readiness.work_waits(BROKER, "away")
    now[0] += 10 * UNWATCHED
    assert readiness.problems == {BROKER: "away"}
