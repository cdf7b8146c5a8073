"""The databases of these tests are copies of a migrated one on PostgreSQL."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.servers import Postgres
from tests.unit.metadata.conftest import archived
from tests.unit.metadata.runs.conftest import database

__all__ = ["archived", "database", "empty_url", "url"]


@pytest.fixture
def url(postgres: Postgres, migrated: str) -> Iterator[str]:
    name = f"unit-{uuid4()}"
    yield postgres.create_database(name, migrated)
    postgres.drop_database(name)  # they are a hundred, of 8 MB each


@pytest.fixture
def empty_url(postgres: Postgres) -> Iterator[str]:
    name = f"empty-{uuid4()}"
    yield postgres.create_database(name)
    postgres.drop_database(name)
