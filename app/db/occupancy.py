"""Finds out whose tables a database schema has: ours (at which migration), none, or those of other software."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import dialect
from app.db.connect import Unusable
from app.db.metadata_tables import artifact

VERSION_TABLE = "pas_alembic_version"
"""Names the migration that the tables are at. A name of our own: others use alembic too."""

FORMER_VERSION_TABLE = "alembic_version"
"""The name of the version table in the previous release. The table stays, and is kept up to date for processes of that
release."""

FORMER_TABLES = ("backfill_job", "backfill_task")
"""What is beside it where it is ours: others have migrations called 0001 too."""

NAMED = 3
"""Tables of other software that a refusal names: enough to recognise the software."""


@dataclass(frozen=True, slots=True)
class Occupied:
    """`revision` is the migration, None when nothing was made yet.

    `former`: only the version table of the former release says it.
    """

    revision: str | None = None
    former: bool = False
    has_former_table: bool = False


async def look(connection: AsyncConnection, known: Collection[str]) -> Occupied:
    """The tables that the database holds; `known` are the migrations of this release.

    Raises Unusable when the database belongs to other software. A database with our version table is ours, whatever
    else was put into it later.
    """
    revisions = await _revisions(connection, VERSION_TABLE)
    former = await _revisions(connection, FORMER_VERSION_TABLE)
    was_ours = (
        former is not None and len(former) == 1 and {*former} <= {*known} and await _has_former_tables(connection)
    )
    if revisions:
        return Occupied(revisions[0], has_former_table=was_ours)
    if former and was_ours:
        return Occupied(former[0], former=True, has_former_table=True)
    others = await _others(connection)
    if others:
        raise Unusable(_refusal(others, on_postgresql=dialect.is_postgresql(connection)))
    return Occupied()


async def revision(connection: AsyncConnection) -> str | None:
    """The migration that a database of ours is at; a newer release may have made it."""
    revisions = await _revisions(connection, VERSION_TABLE)
    return revisions[0] if revisions else None


async def _revisions(connection: AsyncConnection, table: str) -> list[str] | None:
    """The content of a version table; None when there is no such table, or none that can be read."""
    if dialect.is_postgresql(connection):
        statement = text(
            "SELECT has_table_privilege(a.attrelid, 'SELECT') FROM pg_attribute a "
            "WHERE a.attrelid = to_regclass(:name) AND a.attname = 'version_num' AND NOT a.attisdropped"
        )
    else:
        statement = text(
            "SELECT 1 FROM sqlite_master m JOIN pragma_table_info(m.name) c "
            "WHERE m.type = 'table' AND m.name = :name AND c.name = 'version_num'"
        )
    if not (await connection.execute(statement, {"name": table})).scalar():
        return None
    found = await connection.execute(text(f"SELECT CAST(version_num AS text) FROM {table}"))  # noqa: S608 - constants
    return list(found.scalars())


async def _has_former_tables(connection: AsyncConnection) -> bool:
    """In the schema of the former version table."""
    if dialect.is_postgresql(connection):
        statement = text(
            "SELECT c.relname FROM pg_class c JOIN pg_class v ON v.relnamespace = c.relnamespace "
            "WHERE v.oid = to_regclass(:version) AND c.relkind IN ('r', 'p')"
        )
        names = (await connection.execute(statement, {"version": FORMER_VERSION_TABLE})).scalars()
    else:
        names = (await connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'"))).scalars()
    return {*FORMER_TABLES} <= {*names}


async def _others(connection: AsyncConnection) -> list[str]:
    """Tables of other software in our schema, and whatever has the name of a table of ours; those of extensions and of
    SQLite itself do not count."""
    if dialect.is_postgresql(connection):
        path = text("SELECT current_schema(), current_setting('search_path')")
        schema, search_path = (await connection.execute(path)).one()
        if schema is None:
            raise Unusable(
                f"no schema of the search_path {search_path} is there: make it with CREATE SCHEMA, or name another "
                "with ?options=-csearch_path=NAME in jeap.datasource.url"
            )
        statement = text(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = current_schema() AND (c.relkind IN ('r', 'p', 'f') OR c.relname = ANY(:ours)) "
            "AND NOT EXISTS (SELECT FROM pg_depend d "
            "WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e') "
            "UNION SELECT t.typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace "
            "WHERE n.nspname = current_schema() AND t.typname = ANY(:ours)"
        )
        found = await connection.execute(statement, {"ours": [*artifact.metadata.tables]})
    else:
        statement = text(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite@_%' ESCAPE '@'"
        )
        found = await connection.execute(statement)
    names = sorted(found.scalars())
    return [name for name in names if name != VERSION_TABLE]


def _refusal(others: list[str], *, on_postgresql: bool) -> str:
    """The refusal; the version table of other migrations is named first."""
    ordered = sorted(others, key=lambda name: name != FORMER_VERSION_TABLE)
    named = ", ".join(name if name.isprintable() else ascii(name) for name in ordered[:NAMED])
    more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
    way_out = "give the service a database of its own"
    if on_postgresql:
        way_out += ", or a schema of its own: CREATE SCHEMA pas, and ?options=-csearch_path=pas in jeap.datasource.url"
    return f"the database holds tables that are not of this service ({named}{more}); nothing was made: {way_out}"
