"""The messaging without its pauses: what it waits for in the tests are events, not seconds. A SQLite database each."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app import outages
from app.db.database import Database
from app.messaging import consumer


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "POLL_TIMEOUT", 0.001)
    monkeypatch.setattr(consumer, "COMMIT_EVERY", 0.0)
    monkeypatch.setattr(outages, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(outages, "LONGEST_PAUSE", 0.001)


@pytest.fixture
async def database(migrated_file: Path, tmp_path: Path) -> AsyncIterator[Database]:
    copy = tmp_path / "pas.sqlite"
    shutil.copy(migrated_file, copy)
    database = Database(f"sqlite:///{copy}")
    yield database
    await database.close()
