"""Rows of the audit log that others wrote, and times that only PostgreSQL has."""

import pytest

from app.db.database import Database
from tests.unit.db import test_audit_rows
from tests.unit.db.test_audit_rows import *


@pytest.mark.parametrize("moment", ["0044-03-15 BC", "20000-01-01", "infinity", "-infinity"])
async def test_times_that_python_has_not_are_read(database: Database, moment: str) -> None:
    await test_audit_rows.test_times_at_the_ends_are_read(database, moment)
