"""A database that holds somebody else's tables or migrations is refused before anything is made in it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from alembic import command
from app.db import migrations
from app.db.connect import Unusable
from app.db.database import Database
from app.db.migrations import Standing
from tests.integration.conftest import MakeArchive
from tests.servers import Postgres
from tests.support.archive import NOT_MIGRATED, Archive
from tests.support.rows import insert_job, job_row
from tests.support.service import pas

FOREIGN = (
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)",
    "INSERT INTO alembic_version VALUES ('{revision}')",
)
FORMERLY = (*FOREIGN, "DROP TABLE pas_alembic_version")
"""Makes of a database of this release one of the release before."""


@pytest.fixture(params=["sqlite", "postgresql"])
async def empty(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        opened = Database(f"sqlite:///{tmp_path / 'pas.sqlite'}")
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        opened = Database(postgres.create_database(f"o-{uuid4()}"))
    yield opened
    await opened.close()


async def execute(database: Database, *statements: str) -> None:
    async with database.engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def tables(database: Database) -> set[str]:
    schema = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'",
        "postgresql": "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
    }
    async with database.looking() as connection:
        return set((await connection.execute(text(schema[database.engine.dialect.name]))).scalars())


async def versions(database: Database, table: str) -> list[str]:
    async with database.looking() as connection:
        return list((await connection.execute(text(f"SELECT version_num FROM {table}"))).scalars())


@pytest.mark.parametrize(
    "thing",
    [
        "VIEW backfill_job AS SELECT 1 AS id",
        "MATERIALIZED VIEW artifact AS SELECT 1 AS id",
        "SEQUENCE backfill_task",
        "TYPE backfill_job AS ENUM ('a')",
        "DOMAIN artifact AS text",
    ],
)
async def test_whatever_has_the_name_of_a_table_of_ours_is_refused(postgres: Postgres, thing: str) -> None:
    database = Database(postgres.create_database(f"o-{uuid4()}"))
    try:
        await execute(database, f"CREATE {thing}")
        name = thing.removeprefix("MATERIALIZED ").split()[1]
        for refused in (migrations.migrate(database), migrations.standing(database)):
            with pytest.raises(Unusable, match=rf"not of this service \({name}\)"):
                await refused
    finally:
        await database.close()


@pytest.mark.parametrize("revision", ["0001", "0005", "4f3c2a1b0d9e"])
async def test_somebody_elses_migrations_are_refused_before_anything_is_made(empty: Database, revision: str) -> None:
    foreign = [statement.format(revision=revision) for statement in FOREIGN]
    await execute(
        empty, *foreign, "CREATE TABLE invoice (id int)", "CREATE TABLE b (id int)", "CREATE TABLE c (id int)"
    )
    for refused in (migrations.migrate(empty), migrations.standing(empty)):
        with pytest.raises(Unusable) as caught:
            await refused
        assert "(alembic_version, b, c and 1 more); nothing was made" in caught.value.reason
        assert "a database of its own" in caught.value.reason
        assert "\n" not in caught.value.reason
    assert await tables(empty) == {"alembic_version", "invoice", "b", "c"}
    assert await versions(empty, "alembic_version") == [revision]


async def test_several_revisions_and_a_version_table_of_another_form_are_somebody_elses(empty: Database) -> None:
    foreign = [statement.format(revision="0001") for statement in FOREIGN]
    await execute(empty, *foreign, "INSERT INTO alembic_version VALUES ('0002')", "CREATE TABLE backfill_job (id int)")
    await execute(empty, "CREATE TABLE backfill_task (id int)")
    with pytest.raises(Unusable, match="alembic_version"):
        await migrations.migrate(empty)
    await execute(empty, "DROP TABLE alembic_version", "CREATE TABLE alembic_version (at int)")
    with pytest.raises(Unusable, match="alembic_version"):
        await migrations.migrate(empty)


async def test_tables_of_somebody_else_are_refused_also_where_they_have_our_names(empty: Database) -> None:
    await execute(empty, "CREATE TABLE artifact (id int)")
    with pytest.raises(Unusable, match=r"\(artifact\)"):
        await migrations.migrate(empty)
    assert await tables(empty) == {"artifact"}


async def test_the_tables_are_ours_whatever_is_put_beside_them_later(database: Database) -> None:
    foreign = [statement.format(revision="4f3c2a1b0d9e") for statement in FOREIGN]
    await execute(database, *foreign, "CREATE TABLE invoice (id int)")
    assert await migrations.standing(database) is Standing.CURRENT
    await migrations.migrate(database)
    assert await versions(database, "alembic_version") == ["4f3c2a1b0d9e"]


@pytest.mark.parametrize("revision", ["0006", "0005", "0004"])
async def test_a_database_of_the_release_before_is_taken_over_and_stays_usable_for_it(
    database: Database, revision: str
) -> None:
    job_id = await insert_job(database, 2)
    async with database.engine.begin() as connection:
        await connection.run_sync(lambda sync: command.downgrade(migrations._config(sync), revision))
    await execute(database, *(statement.format(revision=revision) for statement in FORMERLY))
    head = migrations.head()
    assert await migrations.standing(database) is (Standing.CURRENT if revision == head else Standing.OLDER)
    await asyncio.gather(*(migrations.migrate(database) for _ in range(3)))
    assert await migrations.standing(database) is Standing.CURRENT
    assert await versions(database, "pas_alembic_version") == [head]
    assert await versions(database, "alembic_version") == [head]  # what the release before looks at
    assert (await job_row(database, job_id))["open"] == 2


async def test_a_fresh_database_has_a_version_table_of_our_name_only(empty: Database) -> None:
    await migrations.migrate(empty)
    assert await versions(empty, "pas_alembic_version") == [migrations.head()]
    assert "alembic_version" not in await tables(empty)


async def test_a_database_of_a_newer_release_is_left_as_it_is(database: Database) -> None:
    await execute(database, "UPDATE pas_alembic_version SET version_num = '9999'")
    await migrations.migrate(database)
    assert await migrations.standing(database) is Standing.NEWER
    assert await versions(database, "pas_alembic_version") == ["9999"]


async def test_tables_of_extensions_and_those_of_other_schemas_are_nobodys(postgres: Postgres) -> None:
    name = f"o{uuid4().hex[:10]}"
    postgres.create_database(name)
    database = Database(postgres.url(name))
    await execute(
        database,
        "CREATE TABLE spatial_ref_sys (id int)",
        "CREATE SCHEMA other",
        "CREATE TABLE other.alembic_version (version_num text)",
        "INSERT INTO other.alembic_version VALUES ('0001')",
        # As an extension does that brings a table: no package of one is needed.
        "CREATE EXTENSION IF NOT EXISTS plpgsql",
        "ALTER EXTENSION plpgsql ADD TABLE spatial_ref_sys",
    )
    try:
        await migrations.migrate(database)
        assert await migrations.standing(database) is Standing.CURRENT
    finally:
        await database.close()


async def test_a_schema_of_its_own_lies_beside_somebody_elses_tables(postgres: Postgres) -> None:
    name = f"o{uuid4().hex[:10]}"
    url = f"{postgres.create_database(name)}?options=-csearch_path=archive"
    postgres.execute(FOREIGN[0], name)
    postgres.execute(FOREIGN[1].format(revision="0001"), name)
    database, public = Database(url), Database(postgres.url(name))
    try:
        with pytest.raises(Unusable, match="CREATE SCHEMA"):
            await migrations.migrate(database)
        postgres.execute("CREATE SCHEMA archive", name)
        await migrations.migrate(database)
        assert await tables(database) == {"alembic_version"}  # those in public
        job_id = await insert_job(database, 2000)  # COPY and ANALYZE find the schema too
        assert (await job_row(database, job_id))["total"] == 2000
        with pytest.raises(Unusable, match="alembic_version"):
            await migrations.migrate(public)
    finally:
        await database.close()
        await public.close()


@pytest.fixture(scope="module")
def occupied(make_archive: MakeArchive) -> Archive:
    """An archive whose database is that of an application with migrations of its own."""
    archive = make_archive(make=NOT_MIGRATED)
    for statement in FOREIGN:
        archive.query(statement.format(revision="4f3c2a1b0d9e"))
    archive.query("CREATE TABLE invoice (id int)")
    return archive


@pytest.mark.parametrize(
    ("command", "code"),
    [(("migrate",), 1), (("serve", "--port", "0"), 1), (("serve", "--port", "0", "--migrate"), 1), (("verify",), 3)],
)
def test_every_command_refuses_a_database_of_somebody_else_in_one_line(
    occupied: Archive, command: tuple[str, ...], code: int
) -> None:
    refused = pas(*command, "--config", str(occupied.config))
    assert (refused.returncode, refused.stdout) == (code, "")
    assert "tables that are not of this service (alembic_version, invoice)" in refused.stderr.splitlines()[-1]
    assert "Traceback" not in refused.stderr
    found = occupied.query("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
    assert {row["relname"] for row in found} == {"alembic_version", "invoice"}


def test_the_embedded_service_refuses_a_file_of_somebody_else(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "pas.sqlite") as connection:
        connection.execute("CREATE TABLE invoice (id int)")
    connection.close()
    refused = pas("serve", "--embedded", "--data-dir", str(tmp_path), "--port", "0")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "not of this service (invoice)" in refused.stderr.splitlines()[-1]
