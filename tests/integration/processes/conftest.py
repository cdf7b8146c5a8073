"""A migrated and empty SQLite database."""

from pathlib import Path

import pytest

from tests.support.metadata import sqlite_url
from tests.support.migrated import migrated


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = sqlite_url(tmp_path)
    Path(url.removeprefix("sqlite:///")).write_bytes(migrated())
    return url
