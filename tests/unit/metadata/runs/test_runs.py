"""Runs and their batches: what they cover, how they count, how they end."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from sqlalchemy import select, update
from typing_extensions import override

from app.broker.messages import Publisher, backfill_metadata_command
from app.db import outbox, runs
from app.db.database import Database
from app.db.metadata_tables import artifact, batch
from app.db.metadata_tables import run as run_table
from app.domain.readiness import Readiness
from app.domain.runs import BatchResult, RunState
from app.messaging.backfill_metadata import BackfillMetadataHandler
from app.messaging.dispatch import Received
from app.messaging.work import Work
from app.metadata import backfill as module
from app.metadata.backfill import MetadataBackfill
from tests.support.metadata import (
    ENABLED,
    SIZE,
    Documents,
    all_runs,
    archived,
    artifact_ids,
    backfill,
    catalog,
    definitions,
    insert,
    open_batches,
    rows,
    stored_values,
    work_off,
)

NOW = datetime.now(UTC)


async def revisions(database: Database) -> Counter[int]:
    return Counter(row.revision for row in await rows(database, select(artifact.c.revision)))


def documents(number: int, value: Any = 1) -> Documents:
    return Documents({f"r{i}": {"x": {"a": value}} for i in range(number)})


async def test_batches_cover_every_artifact_exactly_once(database: Database) -> None:
    for place in range(7):  # other types, superseded ones and up to date ones between
        await insert(
            database,
            *(archived(f"r{place * 10 + i}", minutes=i) for i in range(10)),
            archived(f"r{place * 10}", minutes=60),
            archived(f"done{place}", revision=1),
        )
    await definitions(database).apply(catalog(a="x.a"))
    todo = await open_batches(database)
    seen = [
        id_
        for row in todo
        for id_ in await artifact_ids(database, superseded=False, revision=0)
        if row.after_id < id_ <= row.to_id
    ]
    assert sorted(seen) == await artifact_ids(database, superseded=False, revision=0)
    assert len(seen) == 70
    assert [row.id.position for row in todo] == list(range(7))
    [found] = await all_runs(database)
    assert (found.total, found.batches) == (70, 7)


async def test_superseded_artifacts_are_covered_where_all_versions_are_asked_for(database: Database) -> None:
    await insert(database, archived("r0"))
    await insert(database, archived("r0", minutes=1))
    await definitions(database, type(ENABLED)(True, 10, True)).apply(catalog(a="x.a"))
    [found] = await all_runs(database)
    assert found.total == 2
    await work_off(database, documents(1))
    assert await revisions(database) == {1: 2}


async def test_a_run_counts_and_completes(database: Database) -> None:
    await insert(database, *(archived(f"r{i}") for i in range(25)))
    await insert(database, archived("null"), archived("gone"))
    await definitions(database).apply(catalog(a="x.a", b="x.b"))
    found = documents(25)
    found.by_reference["null"] = {}
    await work_off(database, found)
    [done] = await all_runs(database)
    assert done.state is RunState.COMPLETED
    assert done.completed is not None
    assert (done.total, done.processed, done.updated, done.nulls, done.failed) == (27, 27, 26, 27, 1)
    assert done.rate is not None
    kept = await stored_values(database)
    assert kept["null"] == {"a": ("null", 1), "b": ("null", 1)}, "data that is not there is stored as null"
    assert "gone" not in kept
    assert await revisions(database) == {1: 27}
    async with database.reading() as connection:
        [error] = await runs.errors(connection, done.id, 0, 10)
    assert error.message == "the stored object is gone"


async def test_a_batch_done_twice_counts_once(database: Database) -> None:
    await insert(database, *(archived(f"r{i}") for i in range(15)))
    await definitions(database).apply(catalog(a="x.a"))
    first, second = await open_batches(database)
    work = backfill(database, documents(15))
    await work.do(first)
    await work.do(first)
    [found] = await all_runs(database)
    assert (found.processed, found.updated, found.open, found.state) == (10, 10, 1, RunState.OPEN)
    await work.do(second)
    await work.do(second)
    await work.do(first)
    [found] = await all_runs(database)
    assert (found.processed, found.updated, found.open, found.state) == (15, 15, 0, RunState.COMPLETED)


async def test_batches_done_by_several_at_once_count_once(database: Database) -> None:
    """Each batch by three processes, with an artifact in it that cannot be read."""
    await insert(database, *(archived(f"r{i}") for i in range(60)), *(archived(f"gone{i}") for i in range(6)))
    await definitions(database).apply(catalog(a="x.a"))
    processes = [backfill(database, documents(60)) for _ in range(3)]
    todo = await open_batches(database)
    await asyncio.gather(*(each.do(row) for row in todo for each in processes))
    [found] = await all_runs(database)
    assert found.state is RunState.COMPLETED
    assert (found.total, found.processed, found.updated, found.failed) == (66, 66, 60, 6)
    assert len(await stored_values(database)) == 60
    async with database.reading() as connection:
        assert len(await runs.errors(connection, found.id, 0, 100)) == 6


@pytest.mark.parametrize("end", [RunState.SUPERSEDED, RunState.CANCELLED])
async def test_a_late_batch_of_an_ended_run_writes_nothing(database: Database, end: RunState) -> None:
    await insert(database, archived("r0"))
    await definitions(database).apply(catalog(a="x.a"))
    [late] = await open_batches(database)
    if end is RunState.SUPERSEDED:
        await definitions(database).apply(catalog(a="y.a"))
    else:
        await database.run(lambda c: runs.end(c, late.run.id, end, late.run.started))
    await backfill(database, documents(1)).do(late)
    assert await stored_values(database) == {}
    old = (await all_runs(database))[0]
    assert (old.state, old.processed, old.updated) == (end, 0, 0)
    assert await revisions(database) == {0: 1}


async def test_a_batch_that_read_before_the_definition_changed_writes_nothing(database: Database) -> None:
    await insert(database, archived("r0"))
    await definitions(database).apply(catalog(a="x.a"))
    [late] = await open_batches(database)

    class Slow(Documents):
        @override
        async def read(self, *arguments: Any) -> Any:
            found = await super().read(*arguments)
            await definitions(database).apply(catalog(a="y.a"))
            return found

    await backfill(database, Slow({"r0": {"x": {"a": "stale"}}})).do(late)
    assert await stored_values(database) == {}
    await work_off(database, Documents({"r0": {"y": {"a": "new"}}}))
    assert await stored_values(database) == {"r0": {"a": ('"new"', 2)}}


async def test_what_is_archived_with_an_old_definition_meanwhile_is_picked_up_at_the_end(database: Database) -> None:
    await insert(database, *(archived(f"r{i}") for i in range(12)))
    await definitions(database).apply(catalog(a="x.a"))
    first, second = await open_batches(database)
    work = backfill(database, documents(20))
    await work.do(first)
    await insert(database, *(archived(f"r{i}") for i in range(12, 17)), archived("r17", revision=1))
    await work.do(second)
    [found] = await all_runs(database)
    assert (found.state, found.total, found.open) == (RunState.OPEN, 17, 1)
    await work_off(database, documents(20))
    [found] = await all_runs(database)
    assert (found.state, found.processed, found.updated) == (RunState.COMPLETED, 17, 17)
    assert await revisions(database) == {1: 18}


async def test_what_is_committed_late_with_a_lower_id_is_picked_up_too(database: Database) -> None:
    await insert(database, *(archived(f"r{i}") for i in range(6)))
    [late, *_] = ids = await artifact_ids(database)
    await database.run(lambda c: c.execute(update(artifact).where(artifact.c.id == late).values(revision=9)))
    await definitions(database).apply(catalog(a="x.a"))
    assert (await open_batches(database))[0].after_id == ids[1] - 1
    await database.run(lambda c: c.execute(update(artifact).where(artifact.c.id == late).values(revision=0)))
    await work_off(database, documents(6))
    [found] = await all_runs(database)
    assert (found.state, found.total, found.processed) == (RunState.COMPLETED, 6, 6)


async def test_an_unexpected_error_costs_one_artifact(database: Database) -> None:
    await insert(database, *(archived(f"r{i}") for i in range(5)))
    await definitions(database).apply(catalog(a="x.a"))
    found = documents(5)
    found.by_reference["r3"] = ZeroDivisionError()
    await work_off(database, found)
    [done] = await all_runs(database)
    assert (done.state, done.processed, done.updated, done.failed) == (RunState.COMPLETED, 5, 4, 1)


async def test_a_paused_run_that_is_finished_by_its_last_batch_is_completed(database: Database) -> None:
    await insert(database, archived("r0"))
    await definitions(database).apply(catalog(a="x.a"))
    [row] = await open_batches(database)
    assert await database.run(lambda c: runs.pause(c, row.run, NOW))
    [found] = await all_runs(database)
    assert found.state is RunState.PAUSED
    await backfill(database, documents(1)).do(row)
    [found] = await all_runs(database)
    assert found.state is RunState.COMPLETED
    assert [row.paused for row in await rows(database, select(run_table.c.paused))] == [False]


async def test_put_back_batches_are_due_again(database: Database) -> None:
    await insert(database, archived("r0"))
    await definitions(database).apply(catalog(a="x.a"))
    [row] = await open_batches(database)
    now = datetime.now(UTC)
    await database.run(lambda c: c.execute(update(batch).values(published_at=now)))
    await database.run(lambda c: runs.put_back(c, row.id, now))
    assert [tuple(each) for each in await rows(database, select(batch.c.published_at, batch.c.not_before))] == [
        (None, now)
    ]


async def test_a_batch_of_large_documents_is_recorded_in_parts(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await insert(database, *(archived(f"r{i}") for i in range(10)))
    await definitions(database).apply(catalog(a="x.a"))
    monkeypatch.setattr(module, "PART", 3 * SIZE)
    seen = []

    class Watched(Documents):
        @override
        async def read(self, *arguments: Any) -> Any:
            seen.append((await all_runs(database))[0].processed)
            return await super().read(*arguments)

    found = Watched({f"r{i}": {"x": {"a": i}} for i in range(10) if i != 4})
    await work_off(database, found)
    assert seen == [0, 0, 0, 3, 3, 3, 6, 6, 6, 9]
    [done] = await all_runs(database)
    assert (done.state, done.processed, done.updated, done.failed) == (RunState.COMPLETED, 10, 9, 1)
    assert await stored_values(database) == {f"r{i}": {"a": (str(i), 1)} for i in range(10) if i != 4}


async def test_a_batch_that_was_broken_off_between_its_parts_goes_on_behind_them(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await insert(database, *(archived(f"r{i}") for i in range(10)))
    await definitions(database).apply(catalog(a="x.a"))
    monkeypatch.setattr(module, "PART", 3 * SIZE)
    [row] = await open_batches(database)

    reached = asyncio.Event()

    class Stuck(Documents):
        @override
        async def read(self, *arguments: Any) -> Any:
            if self.reads == 5:
                reached.set()
                await asyncio.Event().wait()
            return await super().read(*arguments)

    doing = asyncio.create_task(backfill(database, Stuck(documents(10).by_reference)).do(row))
    await reached.wait()
    doing.cancel()
    await asyncio.wait({doing})
    [left] = await open_batches(database)
    assert left.after_id == (await artifact_ids(database))[2]
    twins = [backfill(database, documents(10)), backfill(database, documents(10))]
    await asyncio.gather(*(twin.do(left) for twin in twins))
    await twins[0].do(row)  # a command that comes late
    [done] = await all_runs(database)
    assert (done.state, done.open, done.processed, done.updated) == (RunState.COMPLETED, 0, 10, 10)


async def test_pauses_do_not_count_towards_the_rate(database: Database) -> None:
    await insert(database, *(archived(f"r{i}") for i in range(20)))
    await definitions(database).apply(catalog(a="x.a"))
    first, second = await open_batches(database)
    start = first.run.started
    await database.run(lambda c: runs.count_batch(c, first.run.id, BatchResult(10, 10, 0, 0), start, closed=True))
    at = [start + timedelta(seconds=seconds) for seconds in (10, 3610, 3620)]
    [run] = await all_runs(database)
    assert await database.run(lambda c: runs.pause(c, run, at[0]))
    [run] = await all_runs(database)
    assert not await database.run(lambda c: runs.pause(c, run, at[0])), "it is paused"
    assert await database.run(lambda c: runs.resume(c, run, at[1]))
    [run] = await all_runs(database)
    assert not await database.run(lambda c: runs.resume(c, run, at[1])), "it is not paused"
    assert run.rate == 1.0
    await database.run(lambda c: runs.count_batch(c, second.run.id, BatchResult(10, 10, 0, 0), at[2], closed=True))
    [run] = await all_runs(database)
    assert run.rate == 1.0


async def test_a_paused_run_is_owed_again_to_a_broker_that_forgot_its_commands(database: Database) -> None:
    await insert(database, archived("r0"))
    await definitions(database).apply(catalog(a="x.a"))
    await database.run(lambda c: c.execute(update(batch).values(published_at=NOW)))
    [run] = await all_runs(database)
    await database.run(lambda c: runs.pause(c, run, NOW))
    assert await database.run(lambda c: outbox.owe_again(c, outbox.BATCHES, NOW + timedelta(hours=1))) == 0
    assert await database.run(lambda c: outbox.owe_again(c, outbox.BATCHES, None)) == 1


async def test_a_batch_that_runs_into_a_bug_is_put_back_and_its_command_settled(database: Database) -> None:
    await insert(database, archived("r0"))
    await definitions(database).apply(catalog(a="x.a"))
    await database.run(lambda c: c.execute(update(batch).values(published_at=NOW)))
    [row] = await open_batches(database)

    class Broken:
        async def do(self, _row: Any) -> None:
            raise ZeroDivisionError

    handler = BackfillMetadataHandler(database, Readiness(()), cast("MetadataBackfill", Broken()))
    command = backfill_metadata_command(row.id.run_id, row.id.position, Publisher("PSF", "pas"), NOW, row.id.run_id)
    [work] = await handler.receive([Received(command, None)])
    assert isinstance(work, Work)
    await work.run(lambda: None)
    [(published, not_before)] = await rows(database, select(batch.c.published_at, batch.c.not_before))
    assert published is None
    assert not_before > datetime.now(UTC) + timedelta(seconds=50)
