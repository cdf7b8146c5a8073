"""Migrations make exactly the tables that the code declares, on SQLite and PostgreSQL."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from app.db import migrations
from app.db.database import Database
from app.db.occupancy import VERSION_TABLE
from app.db.tables import metadata
from tests.servers import Postgres

SCHEMA = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name",
    "postgresql": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname",
}
CHECKS = "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace"


@pytest.fixture
async def declared(database: Database, postgres: Postgres, tmp_path: Path) -> AsyncIterator[Database]:
    """A database of the same kind with the tables as `app.db.tables` declares them."""
    if database.engine.dialect.name == "sqlite":
        made = Database(f"sqlite:///{tmp_path / 'declared.sqlite'}")
    else:
        made = Database(postgres.create_database(f"declared-{tmp_path.name}"))
    async with made.engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield made
    await made.close()


async def test_migrations_and_tables_agree(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True, "version_table": VERSION_TABLE}
        )
        return list(compare_metadata(context, metadata))

    async with database.reading() as connection:
        assert await connection.run_sync(differences) == []


async def test_migrations_and_tables_have_the_same_indexes_and_constraints(
    database: Database, declared: Database
) -> None:
    assert await schema_of(database) == await schema_of(declared)


async def test_a_migrated_database_is_current_and_migrating_it_again_changes_nothing(database: Database) -> None:
    assert await migrations.standing(database) is migrations.Standing.CURRENT
    before = await schema_of(database)
    await migrations.migrate(database)
    assert await schema_of(database) == before


async def schema_of(database: Database) -> list[str]:
    dialect = database.engine.dialect.name
    async with database.reading() as connection:
        rows = list(await connection.execute(text(SCHEMA[dialect])))
        if dialect == "postgresql":
            rows += list(await connection.execute(text(CHECKS)))
    lines = [" ".join(f"{name}: {definition}".split()) for name, definition in rows]
    return sorted(line for line in lines if "alembic" not in line)
