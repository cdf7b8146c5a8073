"""BackfillMetadataCommand: batches are looked up together, and again when their turn comes."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update

from app.broker.messages import Publisher, backfill_metadata_command
from app.db import runs
from app.db.database import Database
from app.db.metadata_tables import batch, run
from app.db.runs import BatchRow
from app.domain.errors import Unavailable
from app.domain.readiness import DATABASE, Readiness
from app.messaging.backfill_metadata import BackfillMetadataHandler, BatchWork
from app.messaging.dispatch import Acknowledged, DeadLetter, Received
from app.messaging.slot_policy import METADATA
from app.metadata.backfill import MetadataBackfill
from tests.support.metadata import all_runs, archived, catalog, definitions, insert, rows


class Backfill:
    """In the place of what does batches: notes them, or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.done: list[int] = []

    async def do(self, row: BatchRow) -> None:
        if self.error is not None:
            raise self.error
        self.done.append(row.id.position)


def command(run_id: UUID, position: int) -> Received:
    return Received(
        backfill_metadata_command(run_id, position, Publisher("psf", "pas"), datetime.now(UTC), uuid4()), None
    )


async def run_of(database: Database, artifacts: int = 25) -> UUID:
    """A run with a batch for each ten artifacts, all published."""
    await insert(database, *(archived(f"r{n}") for n in range(artifacts)))
    await definitions(database).apply(catalog(a="x.a"))
    await database.run(lambda c: c.execute(update(batch).values(published_at=datetime.now(UTC))))
    [found] = await all_runs(database)
    return found.id


async def change_batch(database: Database, position: int, **values: Any) -> None:
    await database.run(lambda c: c.execute(update(batch).where(batch.c.position == position).values(**values)))


async def published(database: Database) -> list[tuple[bool, datetime | None]]:
    found = await rows(database, select(batch.c.published_at, batch.c.not_before).order_by(batch.c.position))
    return [(row.published_at is not None, row.not_before) for row in found]


def handler_of(database: Database, backfill: Backfill, readiness: Readiness | None = None) -> BackfillMetadataHandler:
    return BackfillMetadataHandler(database, readiness or Readiness(()), cast("MetadataBackfill", backfill))


async def work_of(database: Database, backfill: Backfill) -> BatchWork:
    run_id = await run_of(database, 5)
    [work] = await handler_of(database, backfill).receive([command(run_id, 0)])
    assert isinstance(work, BatchWork)
    assert (work.lane, work.turn, work.can_be_put_back) == (METADATA, run_id, False)
    return work


async def test_the_batches_of_a_poll_are_answered_in_order(database: Database) -> None:
    run_id = await run_of(database)
    await change_batch(database, 1, state="completed")
    broken = Received({"type": {"name": "BackfillMetadataCommand"}, "payload": {"runId": "x", "batch": 0}}, None)
    answers = await handler_of(database, Backfill()).receive(
        [command(run_id, 2), command(run_id, 1), broken, command(run_id, 99), command(uuid4(), 0)]
    )
    assert isinstance(answers[0], BatchWork)
    assert answers[1:] == [
        Acknowledged(),
        DeadLetter("payload.runId is not a UUID"),
        DeadLetter("no such run or batch"),
        DeadLetter("no such run or batch"),
    ]


async def test_a_batch_is_done_when_its_turn_comes(database: Database) -> None:
    backfill = Backfill()
    await (await work_of(database, backfill)).run(lambda: None)
    assert backfill.done == [0]
    assert await published(database) == [(True, None)]


async def test_a_batch_that_somebody_else_did_meanwhile_is_left_alone(database: Database) -> None:
    backfill = Backfill()
    work = await work_of(database, backfill)
    await change_batch(database, 0, state="completed")
    await work.run(lambda: None)
    assert backfill.done == []


async def test_a_batch_of_a_run_that_was_paused_meanwhile_is_put_back(database: Database) -> None:
    backfill = Backfill()
    work = await work_of(database, backfill)
    await database.run(lambda c: c.execute(update(run).values(paused=True)))
    await work.run(lambda: None)
    assert backfill.done == []
    [(is_published, not_before)] = await published(database)
    assert not is_published
    assert not_before is not None
    assert not_before <= datetime.now(UTC)


async def test_a_batch_that_ran_into_a_bug_is_put_back_for_a_while(database: Database) -> None:
    await (await work_of(database, Backfill(ZeroDivisionError()))).run(lambda: None)
    [(is_published, not_before)] = await published(database)
    assert not is_published
    assert not_before is not None
    assert not_before > datetime.now(UTC) + timedelta(seconds=50)


async def test_a_look_up_waits_through_an_outage_of_the_database(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, readiness = await run_of(database, 5), Readiness((DATABASE,))
    look_up: Callable[..., Awaitable[Any]] = runs.look_up
    outages = [Unavailable(DATABASE, "away")] * 3
    named: list[str] = []

    async def failing(*arguments: Any) -> Any:
        named.append(readiness.problems.get(DATABASE, ""))
        if outages:
            raise outages.pop()
        return await look_up(*arguments)

    monkeypatch.setattr(runs, "look_up", failing)
    [work] = await handler_of(database, Backfill(), readiness).receive([command(run_id, 0)])
    assert isinstance(work, BatchWork)
    assert named == ["not seen yet", "away", "away", "away"]
