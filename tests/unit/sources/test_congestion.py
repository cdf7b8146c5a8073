"""How many requests a source gets: fewer when it is slow or refuses, one when it is away, more when it recovers."""

import pytest

from app.sources.congestion import LONGEST_PAUSE, LONGEST_PAUSE_ANSWERING, START, Congestion


class Source:
    """A congestion with a clock; each answer comes some milliseconds after the one before."""

    def __init__(self, slots: int = 64, warm: bool = True) -> None:
        self.state = Congestion(slots, jitter=lambda: 1.0)
        self.now = 100.0
        if warm:
            self.answers(1000)

    @property
    def limit(self) -> int:
        return self.state.limit

    @property
    def pause(self) -> float:
        return self.state.retry_at - self.now

    def answers(self, count: int, latency: float | None = 0.02, every: float = 0.001) -> None:
        for _ in range(count):
            self.now += every
            self.state.answered(self.state.round, self.now, latency)

    def burst(self, failure: str, count: int) -> None:
        """Failures of requests that were all under way together."""
        asked = self.state.round
        for _ in range(count):
            self.fail(failure, asked)

    def fail(self, failure: str, asked: int | None = None) -> None:
        asked = self.state.round if asked is None else asked
        self.now += 0.001
        if failure == "throttled":
            self.state.throttled(asked, self.now)
        else:
            self.state.unreachable(asked, self.now, answering=failure == "HTTP 500")

    def probe(self, failure: str) -> None:
        self.now = max(self.now, self.state.retry_at)
        self.fail(failure)


def test_an_unknown_source_gets_few_and_soon_all() -> None:
    source = Source(warm=False)
    assert source.limit == START
    source.answers(8)
    assert source.limit == 16
    source.answers(48)
    assert source.limit == 64
    source.answers(100)
    assert source.limit == 64


def test_few_slots_are_never_exceeded() -> None:
    source = Source(slots=2)
    assert source.limit == 2


def test_one_refusal_halves_and_a_burst_counts_once() -> None:
    source = Source()
    source.burst("throttled", 20)
    assert source.limit == 32
    source.answers(5)
    source.fail("throttled")
    assert source.limit == 16


def test_after_a_refusal_it_gets_more_one_by_one() -> None:
    source = Source()
    source.fail("throttled")
    source.answers(32)
    assert source.limit in (32, 33)
    source.answers(2000)
    assert source.limit == 64


def test_nothing_but_refusals_is_one_at_a_time_with_pauses() -> None:
    source = Source()
    source.burst("throttled", 64)
    assert source.limit == 1
    assert source.state.closed
    assert 0 < source.pause <= 0.5


def test_retry_after_holds_the_whole_source() -> None:
    source = Source()
    source.state.throttled(source.state.round, source.now, 17)
    assert source.pause == 17
    source.state.throttled(source.state.round, source.now, 5)
    assert source.pause == 17
    source.state.throttled(source.state.round, source.now, 86_400)
    assert source.pause == 3600


@pytest.mark.parametrize("failure", ["refused", "HTTP 500"])
def test_a_single_failure_changes_nothing(failure: str) -> None:
    source = Source()
    for _ in range(10):
        source.fail(failure)
        source.fail(failure)
        source.answers(1)
    assert source.limit == 64
    assert source.pause < 0


@pytest.mark.parametrize("failure", ["refused", "HTTP 500"])
def test_failures_in_a_row_are_one_at_a_time(failure: str) -> None:
    source = Source()
    source.burst(failure, 3)
    assert source.limit == 1
    assert 0 < source.pause <= 0.5


@pytest.mark.parametrize(
    ("failure", "longest"),
    [
        ("refused", LONGEST_PAUSE),
        ("HTTP 500", LONGEST_PAUSE_ANSWERING),
        ("throttled", LONGEST_PAUSE_ANSWERING),
    ],
)
def test_each_failed_probe_doubles_the_pause(failure: str, longest: float) -> None:
    source = Source()
    source.burst(failure, 64)
    pauses = [source.pause]
    for _ in range(9):
        source.probe(failure)
        pauses.append(source.pause)
    assert pauses[1:4] == pytest.approx([1.0, 2.0, 4.0], abs=0.01)
    assert pauses[-1] == pytest.approx(longest)


def test_late_failures_of_the_first_burst_do_not_lengthen_the_pause() -> None:
    source = Source()
    source.burst("refused", 64)
    assert source.pause < 0.5


def test_a_late_answer_does_not_open_the_source_but_a_probe_does() -> None:
    source = Source()
    asked = source.state.round
    source.burst("refused", 64)
    source.state.answered(asked, source.now, 0.02)
    assert source.limit == 1
    source.now = source.state.retry_at
    source.answers(1)
    assert source.limit == 2
    assert not source.state.closed


def test_a_source_that_is_back_gets_half_quickly_and_all_in_the_end() -> None:
    source = Source()
    source.burst("refused", 64)
    source.now += 1
    source.answers(31)
    assert source.limit == 32
    source.answers(3000)
    assert source.limit == 64


def test_what_is_expected_of_a_source_is_what_it_took_before() -> None:
    unknown = Congestion(64)
    assert (unknown.limit, unknown.expected) == (8, 64)
    source = Source()
    source.burst("throttled", 1)
    assert (source.limit, source.state.expected) == (32, 32)
    source.burst("refused", 64)
    assert (source.limit, source.state.expected) == (1, 16)


def test_pauses_begin_anew_after_a_recovery() -> None:
    source = Source()
    source.burst("refused", 64)
    for _ in range(5):
        source.probe("refused")
    source.now += 30
    source.answers(10)
    source.burst("refused", 3)
    assert source.pause <= 0.5


def test_natural_jitter_is_no_slowness() -> None:
    source = Source(warm=False)
    for index in range(5000):
        source.answers(1, latency=(0.01, 0.02, 0.2, 0.05)[index % 4], every=0.01)
    assert source.limit == 64


def test_a_source_that_is_always_slow_is_not_slowed_further() -> None:
    source = Source(warm=False)
    source.answers(2000, latency=2.0, every=0.03)
    assert source.limit == 64


def test_one_slow_answer_changes_nothing() -> None:
    source = Source()
    source.answers(1, latency=2.0)
    source.answers(100)
    assert source.limit == 64


def test_a_source_that_slows_down_gets_fewer_but_keeps_an_eighth() -> None:
    source = Source()
    source.answers(60, latency=1.0, every=0.02)
    assert source.limit <= 33
    source.answers(300, latency=1.0, every=0.02)
    assert 8 <= source.limit <= 9


def test_a_source_that_is_fast_again_gets_more_again() -> None:
    source = Source()
    source.answers(300, latency=1.0, every=0.02)
    source.answers(6000, latency=0.02)
    assert source.limit == 64


def test_a_source_that_stays_slower_is_taken_as_it_is() -> None:
    source = Source()
    source.answers(3000, latency=1.0, every=0.1)
    assert source.limit > 16


def test_quick_answers_without_a_document_say_nothing_about_latency() -> None:
    source = Source(warm=False)
    source.answers(200, latency=0.5, every=0.01)
    source.answers(200, latency=None)
    source.answers(400, latency=0.5, every=0.01)
    assert source.limit == 64
