"""The state of the service: what the process knows itself, and what the database knows, if it tells."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.catalog.archive_types import Catalog
from app.catalog.live import LiveCatalog
from app.db import dialect, migrations
from app.db.database import Database
from app.db.outbox import BATCHES, TASKS
from app.db.tables import job
from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.errors import TransientFailure, Unavailable
from app.domain.readiness import COMPONENTS, Readiness
from app.domain.system import CommandCounts, DeadLetters
from app.sources.pacing import SourcePacers
from app.system import overview as module
from app.system.dead_letters import DeadLetterCounts
from app.system.overview import Overview, sources_of
from app.system.processes import Presence
from tests.support.rows import insert_job

URI = "https://source.example/a/{id}"
ONE = ArchiveTypeConfiguration("M", "m", uri=URI, oauth_client_id="one")
ALSO = ArchiveTypeConfiguration("M", "m", uri="https://source.example/b/{id}", oauth_client_id="one", id="c")
OTHER = replace(ONE, message_type="N", oauth_client_id="two")
OPEN = ArchiveTypeConfiguration("O", "o", uri="https://other.example/{id}")
PAYLOAD = ArchiveTypeConfiguration("P", "p")


def overview(database: Database, **changes: Any) -> Overview:
    parts: dict[str, Any] = {
        "database": database,
        "readiness": Readiness(COMPONENTS),
        "catalog": LiveCatalog(Catalog((ONE,))),
        "pacers": SourcePacers(64),
        "commands": lambda: CommandCounts(3, 40),
        "presence": Presence(database, "1.2.3"),
        "outboxes": [(TASKS, 2), (BATCHES, 2)],
    }
    return Overview(**{**parts, **changes})


async def waits(database: Database, job_id: UUID, state: str) -> None:
    values = {"waiting_for": "source", "state": state}
    await database.run(lambda c: c.execute(update(job).where(job.c.id == job_id).values(**values)))


async def test_what_the_database_knows_is_told(database: Database) -> None:
    waiting = await insert_job(database, 3)
    ended = await insert_job(database, 1)
    await insert_job(database, 1)
    await waits(database, waiting, "open")
    await waits(database, ended, "completed")
    letters = DeadLetterCounts(database)
    letters.note("a-dlq")
    await letters.write()
    other = Presence(database, "1.2.2")
    await other.write()
    one = overview(database)
    await one.presence.write()
    state = await one.now()
    recorded = state.recorded
    assert recorded is not None
    assert (recorded.due, recorded.waiting_jobs, recorded.dead_letters.count) == (3, 1, 1)
    assert recorded.version == migrations.head()
    assert recorded.size is not None
    assert recorded.size > 100_000
    assert [(each.id, each.release) for each in state.processes] == [
        (other.id, "1.2.2"),
        (one.presence.id, "1.2.3"),
    ]
    assert (state.release, state.commands) == ("1.2.3", CommandCounts(3, 40))


async def test_a_new_database_has_nothing_to_tell(database: Database) -> None:
    recorded = (await overview(database).now()).recorded
    assert recorded is not None
    assert (recorded.due, recorded.waiting_jobs, recorded.dead_letters) == (0, 0, DeadLetters(0, None))


async def test_without_the_database_the_process_tells_what_it_knows(database: Database) -> None:
    readiness = Readiness(COMPONENTS)
    readiness.probe_failed("database", "connection refused")
    readiness.configuration_refused("topic: missing")
    one = overview(database, readiness=readiness)
    database.close_for(Unavailable("database", "away"))
    state = await one.now()
    assert state.recorded is None
    assert [each.id for each in state.processes] == [one.presence.id]
    assert state.components[0].reason == "connection refused"
    assert state.configuration.reason == "topic: missing"


async def test_a_database_that_does_not_answer_is_not_waited_for(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(_connection: AsyncConnection) -> int:
        await asyncio.sleep(60)
        return 0

    monkeypatch.setattr(module, "IN_TIME", 0.01)
    monkeypatch.setattr(dialect, "size", hang)
    assert (await overview(database).now()).recorded is None


async def test_a_role_that_may_not_ask_for_the_size_gets_all_else(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(_connection: AsyncConnection) -> int:
        raise Unavailable("database", "permission denied for database (42501)")

    monkeypatch.setattr(dialect, "size", refused)
    recorded = (await overview(database).now()).recorded
    assert recorded is not None
    assert recorded.size is None
    assert recorded.version == migrations.head()


def test_each_source_is_listed_with_each_client_and_the_names_of_its_archive_types() -> None:
    found = sources_of(Catalog((ONE, OTHER, PAYLOAD, ALSO, replace(OPEN, id="x"))), SourcePacers(64))
    assert [(each.name, each.client) for each in found] == [("M, M/c", "one"), ("N", "two"), ("O", None)]
    assert {(each.limit, each.in_flight, each.rest_until, each.last_failure) for each in found} == {(8, 0, None, None)}


async def test_a_source_that_failed_says_why_when_and_how_long_it_rests() -> None:
    pacers = SourcePacers(64)
    pacer = pacers.of("https://source.example:443")
    before = datetime.now(UTC)
    async with pacer.attempt("two"):
        [_, second] = sources_of(Catalog((ONE, OTHER)), pacers)
        assert second.in_flight == 1
    with pytest.raises(TransientFailure):
        async with pacer.attempt("one"):
            raise TransientFailure("HTTP 429", throttled=True, retry_after=60)
    failed, other, elsewhere = sources_of(Catalog((ONE, OTHER, OPEN)), pacers)
    assert failed.last_failure == "HTTP 429"
    assert failed.last_failure_at is not None
    assert before <= failed.last_failure_at <= datetime.now(UTC)
    assert failed.rest_until is not None
    assert timedelta(seconds=59) < failed.rest_until - before < timedelta(seconds=90)
    assert (other.rest_until is None, other.last_failure) == (False, None), "the source rests, its client is another"
    assert (elsewhere.rest_until, elsewhere.last_failure) == (None, None)
