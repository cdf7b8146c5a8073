"""A database of the service, migrated and empty."""

from collections.abc import AsyncIterator

import pytest

from app.db.database import Database
from tests.support.metadata import opened


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    async with opened(url) as database:
        yield database
