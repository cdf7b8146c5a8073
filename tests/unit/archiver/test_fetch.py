"""What uses up an attempt, what only waits, and when the patience with a source ends; time passes at once."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import pytest

from app.archiver.fetch import SPEAKS_FOR_OTHERS, Fetcher, PutBackTask
from app.domain.archive_types import ArchiveTypeConfiguration, SchemaName
from app.domain.artifacts import ArchiveTask, Document
from app.domain.errors import PermanentFailure, TransientFailure
from app.domain.jobs import Reference, TaskId
from app.sources.http import SourceClient
from app.sources.memory import FIRST_SHARE, ByteBudget, Lease
from app.sources.outages import Outages
from app.sources.pacing import SLOT_PATIENCE, SourceBusy
from app.sources.patience import Absence, way_of
from tests.unit.sources.virtual import at_once, now

READ = "Failed reading artifact from source service: "
SOURCE = ArchiveTypeConfiguration("M", "topic", uri="https://source/{id}")
FOUND = Document(b"{}", "application/json", SchemaName("S", "T", 1), (), None, None)
REFUSED = {"cause": "connection refused", "unreachable": True, "no_connection": True}
HOUR = 3600.0


class Client:
    """A source of which each try ends as told: a failure, or the document."""

    def __init__(self, ends: Iterator[Exception | None]) -> None:
        self.ends = ends
        self.tries = 0
        self.budget = ByteBudget(FIRST_SHARE)
        self.outages = Outages(lambda: asyncio.get_running_loop().time())
        self.fetcher = Fetcher(cast(SourceClient, self), 0.5, HOUR)

    async def fetch(self, configuration: Any, reference: Any, traceparent: str, confirm: Any) -> tuple[Document, Lease]:
        await confirm()
        self.tries += 1
        end = next(self.ends)
        with self.outages.noting(configuration):
            if end is not None:
                raise end
        return FOUND, await self.budget.lease()

    def absence(self, configuration: ArchiveTypeConfiguration) -> Absence | None:
        return self.outages.absence(way_of(configuration))


def refused() -> TransientFailure:
    return TransientFailure(**REFUSED)  # type: ignore[arg-type]


def task(attempts: int = 0, max_attempts: int = 4, job: int = 1) -> ArchiveTask:
    started = datetime(2026, 1, 1, tzinfo=UTC)
    return ArchiveTask(
        TaskId(UUID(int=job), 0), Reference("r"), "M", None, started, attempts, max_attempts, "x", "1" * 32
    )


async def fetch(client: Client, attempts: int = 0, max_attempts: int = 4, job: int = 1) -> Document:
    async def wanted() -> bool:
        return True

    async with client.fetcher.document(SOURCE, task(attempts, max_attempts, job), "", wanted) as document:
        return document


async def until_the_end(client: Client) -> tuple[str, int]:
    """Put back and tried again until it is over; the message and how often it was put back."""
    attempts = put_back = 0
    while True:
        try:
            await fetch(client, attempts)
        except PutBackTask as later:
            attempts, put_back = later.attempts, put_back + 1
            await asyncio.sleep(later.seconds)
        except PermanentFailure as failure:
            return failure.message, put_back


def always(make: Any) -> Iterator[Exception | None]:
    while True:
        yield make()


def test_a_source_that_is_away_uses_up_no_attempt() -> None:
    async def story() -> None:
        client = Client(always(refused))
        with pytest.raises(PutBackTask) as later:
            await fetch(client, attempts=3)
        assert later.value.attempts == 3
        assert later.value.whole_source
        assert SLOT_PATIENCE < later.value.seconds <= 30
        assert now() < 20

    at_once(story())


def test_a_job_without_retries_waits_for_a_source_that_is_away_too() -> None:
    async def story() -> None:
        client = Client(iter([refused(), refused(), None]))
        assert await fetch(client, max_attempts=1) is FOUND

    at_once(story())


def test_a_source_that_is_away_for_an_hour_without_a_break_fails_its_tasks() -> None:
    async def story() -> None:
        client = Client(always(refused))
        message, put_back = await until_the_end(client)
        assert message == READ + "connection refused (unreachable for 1h)"
        assert HOUR <= now() < HOUR + 60
        assert put_back > 50

    at_once(story())


def test_an_answer_in_between_begins_the_hour_anew() -> None:
    async def story() -> None:
        def ends() -> Iterator[Exception | None]:
            while now() < HOUR - 60:
                yield refused()
            yield TransientFailure("HTTP 500", unreachable=True)
            while True:
                yield refused()

        message, _ = await until_the_end(Client(ends()))
        assert message == READ + "connection refused (unreachable for 1h)"
        assert now() > 2 * HOUR - 90

    at_once(story())


def test_others_of_the_source_fail_without_asking_it_once_patience_is_over() -> None:
    async def story() -> None:
        client = Client(always(refused))
        await until_the_end(client)
        client.ends = always(lambda: SourceBusy(20, "the source is given a rest"))
        with pytest.raises(PermanentFailure) as failure:
            await fetch(client)
        assert failure.value.message == READ + "connection refused (unreachable for 1h)"

    at_once(story())


def test_another_job_fails_only_once_the_source_was_asked_for_it_too() -> None:
    """Its source may be back: what nobody asked for waits until somebody may ask."""

    async def story() -> None:
        client = Client(always(refused))
        await until_the_end(client)
        client.ends = always(lambda: SourceBusy(20, "the source is given a rest"))
        with pytest.raises(PutBackTask):
            await fetch(client, job=2)
        client.ends = iter([refused()])
        with pytest.raises(PermanentFailure):
            await fetch(client, job=2)
        client.ends = always(lambda: SourceBusy(20, "the source is given a rest"))
        with pytest.raises(PermanentFailure):
            await fetch(client, job=2)

    at_once(story())


def test_a_job_that_rested_is_asked_for_again_before_it_fails() -> None:
    async def story() -> None:
        client = Client(always(refused))
        await until_the_end(client)
        await asyncio.sleep(SPEAKS_FOR_OTHERS + 1)
        client.ends = always(lambda: SourceBusy(20, "the source is given a rest"))
        with pytest.raises(PutBackTask):
            await fetch(client)

    at_once(story())


def test_a_busy_source_that_is_not_away_for_so_long_puts_back() -> None:
    async def story() -> None:
        client = Client(iter([refused(), SourceBusy(20, "the source is given a rest")]))
        with pytest.raises(PutBackTask) as later:
            await fetch(client, attempts=2)
        assert (later.value.seconds, later.value.attempts, later.value.whole_source) == (20, 2, True)

    at_once(story())


@pytest.mark.parametrize("asked", [None, 3600.0])
def test_who_asks_to_wait_is_waited_for_without_end(asked: float | None) -> None:
    async def story() -> None:
        def ends() -> Iterator[Exception | None]:
            while now() < 5 * HOUR:
                yield TransientFailure("HTTP 429", throttled=True, keeps_attempt=True, retry_after=asked)
            while True:
                yield PermanentFailure("over")

        message, put_back = await until_the_end(Client(ends()))
        assert message == "over"
        assert put_back > 3

    at_once(story())


def test_what_says_something_of_the_record_uses_up_attempts() -> None:
    async def story() -> None:
        client = Client(always(lambda: TransientFailure("read timed out after 5s", unreachable=True)))
        message, _ = await until_the_end(client)
        assert message == READ + "read timed out after 5s (4 attempts)"
        assert client.tries == 4

    at_once(story())


def test_only_failures_of_the_record_are_counted_among_others() -> None:
    async def story() -> None:
        server_error = [TransientFailure("HTTP 500", unreachable=True) for _ in range(4)]
        ends = [server_error[0], refused(), server_error[1], refused(), server_error[2], refused(), server_error[3]]
        message, _ = await until_the_end(Client(iter(ends)))
        assert message == READ + "HTTP 500 (4 attempts)"

    at_once(story())
