"""Brings a database to the newest migration, and says how a database stands to this release."""

from enum import Enum
from pathlib import Path

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from alembic import command
from app.db import dialect
from app.db.database import Database

LOCATION = Path(__file__).resolve().parents[2] / "alembic"


class Standing(Enum):
    """How the schema of a database stands to this release."""

    CURRENT = "current"
    OLDER = "older"
    NEWER = "newer"


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(LOCATION).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


async def migrate(database: Database) -> None:
    """To the newest migration, in one transaction; of several that start at once one works and the others wait.

    A database that a newer release migrated is left as it is.
    """
    if await standing(database) is Standing.NEWER:
        return
    patient = database.patient()  # a large table takes its time, and so does another process that migrates it
    try:
        async with patient.engine.begin() as connection:
            await dialect.lock(connection, dialect.LOCK_MIGRATION)
            await connection.run_sync(lambda sync: command.upgrade(_config(sync), "head"))
    finally:
        await patient.close()


async def standing(database: Database) -> Standing:
    async with database.reading() as connection:
        current = await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
    scripts = ScriptDirectory.from_config(_config())
    if current == scripts.get_current_head():
        return Standing.CURRENT
    known = {script.revision for script in scripts.walk_revisions()}
    return Standing.OLDER if current is None or current in known else Standing.NEWER
