"""A database of the release before: its failures are counted afterwards, and its processes go on beside."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from alembic import command
from app.db import migrations
from app.db.database import Database
from app.domain.causes import NO_MESSAGE
from app.domain.references import WantedReferences
from app.jobs.failures import FailedReferences
from app.jobs.references import JobReferences
from tests.support.rows import NOW

JOB = """
INSERT INTO backfill_job (id, message, topic, content_hash, state, started, total, open, failed, succeeded)
VALUES (:id, 'M', 't', :hash, 'open', :now, 5, 2, 2, 1)"""
TASK = """
INSERT INTO backfill_task (job_id, position, reference_key, reference_id, state, message, trace_id, finished_at)
VALUES (:id, :position, :key, :reference, :state, :message, 't', :now)"""
FAIL = """
UPDATE backfill_task SET state = 'failed', message = :message, finished_at = :now WHERE job_id = :id AND position = 3"""
COUNT = "UPDATE backfill_job SET open = open - 1, failed = failed + 1, last_settled = :now WHERE id = :id"

TASKS = [
    ("failed", "step: HTTP 503 (4 attempts)"),
    ("failed", None),
    ("succeeded", None),
    ("open", None),
    ("open", None),
]


class Before:
    """What a process of the release before asks of the database, in its words."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sqlite = database.engine.dialect.name == "sqlite"

    async def execute(self, statement: str, job_id: UUID, **values: Any) -> None:
        known: Mapping[str, Any] = {"id": job_id, "now": NOW, "hash": b"", **values}
        named = {name: self._plain(value) for name, value in known.items() if f":{name}" in statement}
        async with self._database.engine.begin() as connection:
            await connection.execute(text(statement), named)

    def _plain(self, value: Any) -> Any:
        """As SQLite stores it."""
        if self._sqlite and isinstance(value, UUID):
            return value.hex
        return value.replace(tzinfo=None).isoformat(" ") if self._sqlite and isinstance(value, datetime) else value


@pytest.fixture
async def old(database: Database) -> tuple[Database, UUID]:
    """At the migration before, with a job that has failures."""
    async with database.engine.begin() as connection:
        await connection.run_sync(lambda sync: command.downgrade(migrations._config(sync), "0005"))
    before, job_id = Before(database), uuid4()
    await before.execute(JOB, job_id)
    for position, (state, message) in enumerate(TASKS):
        about = {"position": position, "key": uuid4(), "reference": f"ref-{position}", "state": state}
        await before.execute(TASK, job_id, message=message, **about)
    return database, job_id


async def test_its_failures_are_counted_and_those_that_its_processes_still_record_too(
    old: tuple[Database, UUID],
) -> None:
    database, job_id = old
    await migrations.migrate(database)
    of = FailedReferences(database)
    found = await of.by_cause(job_id)
    assert {each.cause: each.count for each in found.causes} == {"step: HTTP 503": 1, NO_MESSAGE: 1}
    assert found.causes[0].first == NOW
    before = Before(database)
    await before.execute(FAIL, job_id, message="step: HTTP 503 (2 attempts)")
    await before.execute(COUNT, job_id)
    page = await JobReferences(database).page(job_id, WantedReferences(), -1, 10)
    assert [each.cause for each in page.references] == ["step: HTTP 503", NO_MESSAGE, None, "step: HTTP 503", None]
    found = await of.by_cause(job_id)
    assert {each.cause: each.count for each in found.causes} == {"step: HTTP 503": 2, NO_MESSAGE: 1}
    assert [each.position for each in found.causes[0].examples] == [0, 3]


async def test_references_of_one_cause_are_found_before_anybody_counted(old: tuple[Database, UUID]) -> None:
    database, job_id = old
    await migrations.migrate(database)
    of, wanted = JobReferences(database), WantedReferences(cause="step: HTTP 503")
    await of.check(job_id, wanted)
    assert [each.position for each in (await of.page(job_id, wanted, -1, 10)).references] == [0]


async def test_going_back_leaves_the_tables_of_the_release_before(old: tuple[Database, UUID]) -> None:
    database, _ = old
    async with database.engine.connect() as connection:
        for gone in (
            "SELECT cause FROM backfill_task",
            "SELECT 1 FROM failure_cause",
            "SELECT retry_cause FROM backfill_job",
        ):
            with pytest.raises(Exception, match=r"exist|no such"):
                await connection.execute(text(gone))
            await connection.rollback()
