"""A database with artifacts, on both kinds."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.metadata.archived import Archived, new_url, open_archived


@pytest.fixture(params=["sqlite", "postgres"])
async def archived(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Archived]:
    postgres = request.getfixturevalue("postgres") if request.param == "postgres" else None
    opened = await open_archived(new_url(tmp_path, postgres))
    yield opened
    await opened.database.close()
