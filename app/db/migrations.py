"""Migrates a database to the newest migration, and compares the schema of a database with this release."""

from enum import Enum
from functools import cache
from typing import TYPE_CHECKING

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app import shipped
from app.db import dialect, occupancy
from app.db.database import Database
from app.db.occupancy import FORMER_VERSION_TABLE, Occupied

if TYPE_CHECKING:
    from alembic.config import Config

LOCATION = shipped.FILES / "alembic"


class Standing(Enum):
    """How the schema of a database compares with this release."""

    CURRENT = "current"
    OLDER = "older"
    NEWER = "newer"


def _config(connection: Connection) -> "Config":
    from alembic.config import Config  # 0.2 s, for a database that is older only

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
    found = await _look(database)
    if _standing(found) is Standing.NEWER or (_standing(found) is Standing.CURRENT and not found.former):
        return
    patient = database.patient()  # a large table takes its time, and so does another process that migrates it
    try:
        await patient.run(_migrate)
    finally:
        await patient.close()


async def _migrate(connection: AsyncConnection) -> None:
    from alembic import command

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
    return _standing(await _look(database))


async def _look(database: Database) -> Occupied:
    async with database.looking() as connection:
        return await occupancy.look(connection, known())


def _standing(found: Occupied) -> Standing:
    if found.revision == head():
        return Standing.CURRENT
    return Standing.OLDER if found.revision is None or found.revision in known() else Standing.NEWER


def head() -> str:
    """The newest migration of this release."""
    return max(known())


@cache
def known() -> frozenset[str]:
    """The migrations of this release: each has its number at the beginning of the name of its file."""
    return frozenset(file.name.partition("_")[0] for file in (LOCATION / "versions").glob("[0-9]*.py"))
