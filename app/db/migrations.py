"""Migrates a database to the newest migration, and compares the schema of a database with this release."""

from enum import Enum

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from alembic import command
from app import shipped
from app.db import dialect, occupancy
from app.db.database import Database
from app.db.occupancy import FORMER_VERSION_TABLE

LOCATION = shipped.FILES / "alembic"


class Standing(Enum):
    """How the schema of a database compares with this release."""

    CURRENT = "current"
    OLDER = "older"
    NEWER = "newer"


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(LOCATION).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


async def migrate(database: Database) -> None:
    """Migrates to the newest migration, in one transaction; of several concurrent calls one works and the others wait.

    A database that a newer release migrated is not changed. Raises Unusable, before anything is made, when the database
    belongs to other software, and Unavailable.
    """
    await database.check_pooler()
    if await standing(database) is Standing.NEWER:
        return
    patient = database.patient()  # a large table takes its time, and so does another process that migrates it
    try:
        await patient.run(_migrate)
    finally:
        await patient.close()


async def _migrate(connection: AsyncConnection) -> None:
    await dialect.lock(connection, dialect.LOCK_MIGRATION)
    occupied = await occupancy.look(connection, known())
    revision = occupied.revision
    if revision is not None and revision not in known():
        return  # a newer release came first
    if revision is not None and occupied.former:
        await connection.run_sync(lambda sync: command.stamp(_config(sync), revision))
    await connection.run_sync(lambda sync: command.upgrade(_config(sync), "head"))
    if occupied.has_former_table:
        # Processes of the release before, which look there, may still start: they see that the database is newer.
        newest = text(f"UPDATE {FORMER_VERSION_TABLE} SET version_num = :revision")  # noqa: S608 - a constant
        await connection.execute(newest, {"revision": head()})


async def standing(database: Database) -> Standing:
    """Raises Unusable when the database belongs to other software, and Unavailable."""
    async with database.looking() as connection:
        revision = (await occupancy.look(connection, known())).revision
    if revision == head():
        return Standing.CURRENT
    return Standing.OLDER if revision is None or revision in known() else Standing.NEWER


def head() -> str | None:
    """The newest migration of this release."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def known() -> frozenset[str]:
    """The migrations of this release."""
    return frozenset(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())
