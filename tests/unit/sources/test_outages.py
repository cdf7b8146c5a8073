"""A source that goes is one warning in the log, one that is back is one line."""

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.errors import NoArchiveData, PermanentFailure, TransientFailure
from app.domain.jobs import Reference
from app.sources.outages import QUIET, REFUSING, SOON, Outages
from app.sources.patience import BREAK, way_of
from tests.unit.sources.server import TRACEPARENT, Request, answer, document, serving, sources

DECREE = ArchiveTypeConfiguration("DecreeCreated", "t", "https://source.example/decrees/{id}", "decree-client")
TAX = ArchiveTypeConfiguration("TaxAssessed", "t", "https://source.example/tax/{id}", "tax-client")
OPEN = ArchiveTypeConfiguration("Opened", "t", "https://open.example/{id}", id="two")
REFUSED = TransientFailure("connection refused", unreachable=True)
GONE = TransientFailure("connection refused", unreachable=True, no_connection=True)
BUSY = TransientFailure("HTTP 503", throttled=True)
START = datetime(2026, 5, 8, 7, 26, 37, tzinfo=UTC)


class World:
    """Requests at a time that goes on by hand, and what the log says."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        self.now = 1_000.0
        self.outages = Outages(lambda: self.now, lambda: START + timedelta(seconds=self.now - 1_000))
        self._caplog = caplog

    def ask(self, end: Exception | None = None, of: ArchiveTypeConfiguration = DECREE, takes: float = 0.0) -> None:
        try:
            with self.outages.noting(of):
                self.now += takes
                if end is not None:
                    raise end
        except Exception as raised:
            assert raised is end  # noqa: PT017 # passed on as it is

    def away(self) -> list[tuple[str, ...]]:
        return [outage.names for outage in self.outages.current()]

    def said(self) -> list[tuple[str, str]]:
        return [(record.levelname, record.getMessage()) for record in self._caplog.records]

    def levels(self) -> list[str]:
        return [level for level, _ in self.said()]


@pytest.fixture
def world(caplog: pytest.LogCaptureFixture) -> World:
    return World(caplog)


def test_an_outage_of_a_thousand_tasks_is_one_warning_and_one_line(world: World) -> None:
    for _ in range(1_642):
        world.ask(REFUSED)
        world.now += 0.1
    for _ in range(100):
        world.ask()
    [(warning, gone), (info, back)] = world.said()
    assert (warning, info) == ("WARNING", "INFO")
    for part in ("DecreeCreated", "connection refused", "https://source.example:443", "OAuth client decree-client"):
        assert part in gone
    assert "Look whether it runs" in gone
    assert back == (
        "the source of DecreeCreated is back after 2 min 44 s (https://source.example:443, OAuth client decree-client)"
    )


def test_one_failure_or_two_are_no_outage(world: World) -> None:
    for _ in range(10):
        world.ask(REFUSED)
        world.ask(REFUSED)
        world.ask()
    assert world.said() == []


@pytest.mark.parametrize("answer", [None, NoArchiveData(), PermanentFailure("HTTP 404")])
def test_whatever_a_source_answers_it_is_back(world: World, answer: Exception | None) -> None:
    for _ in range(3):
        world.ask(REFUSED)
    world.ask(answer)
    assert world.levels() == ["WARNING", "INFO"]


def test_an_answer_that_was_asked_for_before_it_went_says_nothing(world: World) -> None:
    with world.outages.noting(DECREE):
        world.now += 1
        for _ in range(3):
            world.ask(REFUSED)
    assert world.levels() == ["WARNING"]
    world.now += 1
    world.ask()
    assert world.levels() == ["WARNING", "INFO"]


def test_one_that_comes_and_goes_is_told_once_a_minute(world: World) -> None:
    minutes = 10
    for _ in range(minutes * 12):
        for _ in range(4):
            world.ask(REFUSED)
        world.ask()
        world.now += 5
    assert len(world.said()) <= 2 * minutes + 2
    assert world.levels()[:2] == ["WARNING", "INFO"]


def test_one_that_goes_again_at_once_and_stays_away_is_told(world: World) -> None:
    for _ in range(3):
        world.ask(REFUSED)
    world.ask()
    for _ in range(int(QUIET) + 10):
        world.ask(REFUSED)
        world.now += 1
    assert world.levels() == ["WARNING", "INFO", "WARNING"]
    world.ask()
    assert world.said()[-1][1].startswith("the source of DecreeCreated is back after 1 min 10 s")


def test_a_source_that_asks_for_fewer_requests_is_not_away(world: World) -> None:
    for _ in range(100):
        world.ask(BUSY)
        world.now += REFUSING / 101
    world.ask()
    assert world.said() == []


def test_a_source_that_does_nothing_else_than_refuse_is_away(world: World) -> None:
    for _ in range(4):
        world.ask(BUSY)
        world.now += REFUSING / 2
    assert world.levels() == ["WARNING"]
    assert "HTTP 503" in world.said()[0][1]


def test_the_clients_of_one_source_are_told_apart(world: World) -> None:
    for _ in range(5):
        world.ask(REFUSED, TAX)
        world.ask(None, DECREE)
    [(_, gone)] = world.said()
    assert "TaxAssessed" in gone
    assert "tax-client" in gone


def test_a_configuration_is_named_with_its_id(world: World) -> None:
    for _ in range(3):
        world.ask(REFUSED, OPEN)
    assert "the source of Opened/two is away" in world.said()[0][1]
    assert "without OAuth client" in world.said()[0][1]


@pytest.mark.parametrize("other", [ValueError("a bug"), TransientFailure("HTTP 408")])
def test_what_says_nothing_of_the_source_changes_nothing(world: World, other: Exception) -> None:
    world.ask(REFUSED)
    world.ask(REFUSED)
    world.ask(other)
    assert world.said() == []
    world.ask(REFUSED)
    assert world.levels() == ["WARNING"]


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.2, "1 s"), (59.4, "59 s"), (60, "1 min 0 s"), (3_599, "59 min 59 s"), (7_800, "2 h 10 min")],
)
def test_how_long_it_was_away_is_easy_to_read(world: World, seconds: float, told: str) -> None:
    for _ in range(3):
        world.ask(REFUSED)
    world.now += seconds
    world.ask()
    assert f"is back after {told} (" in world.said()[-1][1]


def test_what_the_warning_says_can_be_asked_for_until_the_line_at_the_end(world: World) -> None:
    assert world.outages.current() == []
    for _ in range(4):
        world.ask(REFUSED)
        world.now += 1
    [outage] = world.outages.current()
    assert outage.way == way_of(DECREE)
    assert (outage.since, outage.last) == (START, 1_003.0)
    assert outage.reason == "connection refused (OAuth client decree-client)"
    world.ask()
    assert world.outages.current() == []


def test_the_client_is_named_once_in_the_reason(world: World) -> None:
    cause = "token request of OAuth client decree-client refused: HTTP 401"
    for _ in range(3):
        world.ask(TransientFailure(cause, unreachable=True, no_connection=True))
    for _ in range(3):
        world.ask(GONE, OPEN)
    assert [outage.reason for outage in world.outages.current()] == [cause, "connection refused"]


def test_all_archive_types_that_met_it_are_named(world: World) -> None:
    other = ArchiveTypeConfiguration("DecreeRevised", "t", "https://source.example/revised/{id}", "decree-client")
    for of in (DECREE, other, DECREE):
        world.ask(REFUSED, of)
    assert world.away() == [("DecreeCreated", "DecreeRevised")]


def test_one_connection_that_failed_is_an_outage_once_nothing_was_answered_for_two_seconds(world: World) -> None:
    world.ask(GONE)
    assert (world.away(), world.said()) == ([], [])
    world.now += SOON
    assert world.away() == [("DecreeCreated",)]
    assert world.levels() == ["WARNING"]
    world.ask()
    assert (world.away(), world.levels()) == ([], ["WARNING", "INFO"])


def test_one_record_that_gives_an_error_is_no_outage_however_long_ago(world: World) -> None:
    world.ask(TransientFailure("HTTP 500", unreachable=True))
    world.now += BREAK
    assert world.away() == []


def test_a_source_that_asks_for_a_long_pause_is_away_at_once_until_the_pause_is_long_over(world: World) -> None:
    world.ask(TransientFailure("HTTP 429", throttled=True, keeps_attempt=True, retry_after=600))
    assert world.away() == [("DecreeCreated",)]
    world.now += 600 + BREAK
    assert world.away() == [("DecreeCreated",)]
    world.now += 1
    assert world.away() == []


def test_a_source_that_asks_for_a_short_pause_is_not_away(world: World) -> None:
    world.ask(TransientFailure("HTTP 429", throttled=True, keeps_attempt=True, retry_after=2))
    assert world.away() == []
    world.now += 2
    world.ask()
    world.now += REFUSING
    assert world.away() == []


def test_a_source_that_asks_one_reference_for_short_pauses_again_and_again_is_away(world: World) -> None:
    for _ in range(2):
        world.ask(TransientFailure("HTTP 429", throttled=True, keeps_attempt=True, retry_after=3))
        world.now += 3
    assert world.away() == [("DecreeCreated",)]


def test_nobody_knows_of_a_source_that_was_not_asked_for_long(world: World) -> None:
    for _ in range(3):
        world.ask(GONE)
    world.now += BREAK + 1
    assert world.away() == []
    for _ in range(3):
        world.ask(GONE)
    assert world.outages.current()[0].since == START + timedelta(seconds=BREAK + 1)
    assert world.levels() == ["WARNING", "WARNING"]


def test_an_answer_counts_from_when_it_was_asked_for(world: World) -> None:
    way = way_of(DECREE)
    assert not world.outages.answered_since(way, float("-inf"))
    world.ask(takes=5)
    assert world.outages.answered_since(way, 999)
    assert not world.outages.answered_since(way, 1_000)


async def test_requests_to_a_source_are_noted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "app.sources.outages")
    answers = [answer(500)] * 3 + [document()]

    async def respond(_: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answers.pop(0))

    async with sources() as client, serving(respond) as server:
        while answers:
            with suppress(TransientFailure):
                async with client.fetching(server.configuration(), Reference("1"), TRACEPARENT):
                    pass
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "the source of Message is away: HTTP 500" in caplog.records[0].getMessage()
