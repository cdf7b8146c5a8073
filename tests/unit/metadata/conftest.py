"""A database with artifacts."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.metadata.archived import Archived, open_archived


@pytest.fixture
async def archived(url: str) -> AsyncIterator[Archived]:
    opened = await open_archived(url)
    yield opened
    await opened.database.close()
