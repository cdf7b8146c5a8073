"""An archive on the file system and SQLite."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.db.database import Database
from app.objectstore.filesystem import FilesystemObjectStore
from tests.unit.verify.archived import Archived


@pytest.fixture
async def archived(tmp_path: Path, migrated_file: Path) -> AsyncIterator[Archived]:
    """The data directory is as that of `pas serve --embedded --data-dir <tmp_path>/pas`."""
    directory = tmp_path / "pas"
    directory.mkdir()
    shutil.copy(migrated_file, directory)
    database = Database(f"sqlite:///{directory}/pas.sqlite")
    objects = FilesystemObjectStore(directory / "objects")
    archive = Archived(database, objects, "archive", tmp_path / "state.json")
    await archive.prepare()
    yield archive
    await objects.close()
    await database.close()
