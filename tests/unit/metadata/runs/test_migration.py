"""Migration 0002 adopts what was archived before: one row for each stored object of a succeeded task."""

import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, select

from alembic import command
from app.db import migrations
from app.db.database import Database
from app.db.metadata_tables import artifact
from app.db.tables import job, task
from app.db.tasks import to_json as stored_json
from app.domain.identity import reference_key
from app.domain.jobs import Reference
from tests.support.metadata import (
    BEGIN,
    Documents,
    archived,
    catalog,
    definitions,
    rows,
    stored_values,
    together,
    work_off,
)

FIRST, SECOND = UUID(int=1), UUID(int=2)


@pytest.fixture
async def old(empty_url: str) -> AsyncIterator[Database]:
    """At the migration before."""
    database = Database(empty_url)

    def upgrade(connection: Connection) -> None:
        command.upgrade(migrations._config(connection), "0001")

    async with database.engine.begin() as connection:
        await connection.run_sync(upgrade)
    yield database
    await database.close()


def job_row(id_: UUID, minutes: int, config_id: str | None = None) -> dict[str, Any]:
    return {
        "id": id_,
        "message": "DocCreated",
        "topic": "docs",
        "resolved_config_id": config_id,
        "content_hash": b"",
        "state": "completed",
        "started": BEGIN + timedelta(minutes=minutes),
        "total": 0,
        "open": 0,
    }


def task_row(job_id: UUID, position: int, reference: Reference, state: str, stored: Any) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "position": position,
        "reference_key": UUID(bytes=reference_key(reference)),
        "reference_id": reference.id,
        "reference_version": reference.version,
        "state": state,
        "stored": stored,
    }


async def test_succeeded_tasks_are_adopted(old: Database) -> None:
    a1 = archived("a", 1, object_id="a1-old", minutes=1).stored
    newer = archived("a", 1, object_id="a1-new", minutes=5).stored
    a2 = archived("a", 2, object_id="a2", minutes=2).stored
    b = archived("ä'b", object_id="b", minutes=3).stored
    failed = archived("failed", object_id="f").stored
    tasks = [
        task_row(FIRST, 0, Reference("a", 1), "succeeded", stored_json(a1)),
        task_row(FIRST, 1, Reference("a", 2), "succeeded", stored_json(a2)),
        task_row(FIRST, 2, Reference("ä'b"), "succeeded", stored_json(b)),
        task_row(FIRST, 3, Reference("failed"), "failed", None),
        task_row(FIRST, 4, Reference("open"), "open", stored_json(failed)),
        task_row(SECOND, 0, Reference("a", 1), "succeeded", stored_json(newer)),
        task_row(SECOND, 1, Reference("a", 2), "succeeded", stored_json(a2)),
    ]

    async def insert(connection: Any) -> None:
        await connection.execute(job.insert(), [job_row(FIRST, 0), job_row(SECOND, 4)])
        await connection.execute(task.insert(), tasks)

    await old.run(insert)
    await migrations.migrate(old)
    found = {row.version_id: row for row in await rows(old, select(artifact))}
    assert found.keys() == {"a1-old", "a1-new", "a2", "b"}
    assert {name for name, row in found.items() if row.superseded} == {"a1-old"}
    assert found["a2"].job_id == FIRST, "the job that put it, not the one that adopted it"
    assert {row.revision for row in found.values()} == {0}
    assert [row.version_id for row in sorted(found.values(), key=lambda row: row.id)] == ["a1-old", "a2", "b", "a1-new"]
    told = asdict(b)
    row = found["b"]
    for column, field in {
        "system": "system",
        "schema_name": "schema",
        "schema_version": "schema_version",
        "content_type": "content_type",
        "size": "size",
        "hash": "sha256",
        "bucket": "bucket",
        "object_key": "key",
        "archived_at": "archived_at",
        "retain_until": "retain_until",
    }.items():
        assert getattr(row, column) == told[field], column
    assert (row.archive_type, row.message_type, row.config_id) == ("DocCreated", "DocCreated", None)
    assert (row.reference_id, row.reference_version) == ("ä'b", None)
    assert row.reference_key == UUID(bytes=reference_key(Reference("ä'b")))


async def test_what_was_adopted_is_of_no_revision_so_that_the_first_definition_fills_it(old: Database) -> None:
    stored = archived("r", object_id="o").stored
    with_config = archived("s", object_id="p").stored

    async def insert(connection: Any) -> None:
        await connection.execute(job.insert(), [job_row(FIRST, 0), job_row(SECOND, 0, "decree")])
        await connection.execute(
            task.insert(),
            [
                task_row(FIRST, 0, Reference("r"), "succeeded", stored_json(stored)),
                task_row(SECOND, 0, Reference("s"), "succeeded", stored_json(with_config)),
            ],
        )

    await old.run(insert)
    await migrations.migrate(old)
    process = definitions(old)
    await process.apply(together(catalog(a="x.a"), catalog(config_id="decree", b="x.b")))
    await work_off(old, Documents({"r": {"x": {"a": 1}}, "s": {"x": {"b": 2}}}))
    assert await stored_values(old) == {"r": {"a": ("1", 1)}, "s": {"b": ("2", 1)}}


async def test_times_are_adopted_to_the_microsecond_and_in_utc(old: Database) -> None:
    stored = archived("r", object_id="o").stored
    document = json.loads(stored_json(stored))
    document["archived_at"] = "2026-05-08T09:26:37.123456+02:00"
    document["retain_until"] = "2026-08-08T07:26:37+00:00"

    async def insert(connection: Any) -> None:
        await connection.execute(job.insert(), [job_row(FIRST, 0)])
        await connection.execute(task.insert(), [task_row(FIRST, 0, Reference("r"), "succeeded", json.dumps(document))])

    await old.run(insert)
    await migrations.migrate(old)
    [row] = await rows(old, select(artifact.c.archived_at, artifact.c.retain_until))
    assert abs(row.archived_at - BEGIN.replace(microsecond=123456)) < timedelta(milliseconds=1)
    assert row.retain_until.isoformat() == "2026-08-08T07:26:37+00:00"
