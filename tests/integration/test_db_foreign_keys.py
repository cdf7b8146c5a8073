"""Foreign keys are checked by plans that are kept, and that find their row also once the table has grown."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import artifacts, dialect
from app.db.database import Database
from app.domain.artifacts import ArchivedArtifact
from app.domain.extraction import metadata_value
from app.domain.jobs import Reference
from tests.servers import Postgres
from tests.support.rows import stored_artifact

JOB = UUID(int=1)


@pytest.fixture
async def database(postgres: Postgres, migrated: str) -> AsyncIterator[Database]:
    """With one connection: what it keeps is there for the next transaction."""
    opened = Database(postgres.create_database(f"keys-{uuid4()}", migrated), pool_size=1)
    yield opened
    await opened.close()


async def settings(connection: AsyncConnection) -> tuple[str, str]:
    asked = text("SELECT current_setting('plan_cache_mode'), current_setting('enable_seqscan')")
    mode, scans = (await connection.execute(asked)).one()
    return mode, scans


async def test_only_inserts_of_many_rows_keep_their_plans(database: Database) -> None:
    async def work(connection: AsyncConnection) -> None:
        assert await settings(connection) == ("force_custom_plan", "on")
        async with dialect.references_kept(connection):
            assert await settings(connection) == ("auto", "off")
        assert await settings(connection) == ("force_custom_plan", "on")

    await database.run(work)


async def test_a_transaction_that_breaks_off_leaves_nothing_switched(database: Database) -> None:
    async def work(connection: AsyncConnection) -> None:
        async with dialect.references_kept(connection):
            await connection.execute(text("SELECT 1 / 0"))

    with pytest.raises(Exception, match="division by zero"):
        await database.run(work)
    assert await database.run(settings) == ("force_custom_plan", "on")


async def test_values_find_their_artifact_by_its_index_once_there_are_many(database: Database) -> None:
    await insert_artifacts(database, range(1))
    await database.run(lambda c: c.execute(text("ANALYZE artifact")))
    ids = await artifact_ids(database)
    for key in range(10):  # as often as makes PostgreSQL keep a plan, one for a table of one row
        await insert_values(database, ids, f"early-{key}")
    await insert_artifacts(database, range(1, 1_001))
    ids = await artifact_ids(database)
    before = await rows_scanned(database)
    await insert_values(database, ids, "late")
    assert await rows_scanned(database) == before


async def insert_artifacts(database: Database, numbers: range) -> None:
    archived = [
        ArchivedArtifact(stored_artifact(f"v{number}"), JOB, Reference(f"ref-{number}"), "M", None, 0, {})
        for number in numbers
    ]
    await database.run(lambda c: artifacts.insert(c, archived))


async def artifact_ids(database: Database) -> list[int]:
    async with database.reading() as connection:
        return list((await connection.execute(text("SELECT id FROM artifact"))).scalars())


async def insert_values(database: Database, ids: list[int], key: str) -> None:
    records = [artifacts.value_record(id_, key, 1, metadata_value(id_)) for id_ in ids]
    await database.run(lambda c: artifacts.insert_values(c, records))


async def rows_scanned(database: Database) -> int:
    """Rows of artifacts that were read by reading the table from its beginning."""
    await database.run(lambda c: c.execute(text("SELECT pg_stat_force_next_flush()")))
    asked = text("SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'artifact'")
    async with database.reading() as connection:
        return int((await connection.execute(asked)).scalar_one())
