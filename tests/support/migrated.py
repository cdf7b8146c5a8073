"""Migrated and empty databases to be copied, each made once for a process of the tests."""

import tempfile
from functools import cache
from pathlib import Path

from app.db import migrations
from app.db.database import Database
from tests.servers import Postgres
from tests.servers.process import run_sync


@cache
def migrated() -> bytes:
    """The file to be written where a test wants one: migrating takes 80 ms, writing a copy none."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "pas.sqlite"

        run_sync(_migrate(f"sqlite:///{file}"))
        return file.read_bytes()


@cache
def migrated_on(postgres: Postgres) -> str:
    """Name of a database of the server."""
    name = "migrated"
    run_sync(_migrate(postgres.create_database(name)))
    return name


async def _migrate(url: str) -> None:
    database = Database(url)
    await migrations.migrate(database)
    await database.close()
