"""Rows of the audit log that others wrote: what is read of them."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from app.db import audit
from app.db.audit_rows import UNREADABLE, as_moment
from app.db.database import Database
from app.domain.audit import Act, AuditEntry


def test_a_time_is_read_as_it_was_written_only() -> None:
    assert as_moment("2026-11-30 10:00:00.000000") == datetime(2026, 11, 30, 10, tzinfo=UTC)
    for other in ("2026-11-30", "2026-11-30T10:00:00.000000", "2026-11-30 10:00:00.000000+00:00", "", 5, b"", None):
        assert as_moment(other) is None, other


@pytest.mark.parametrize("moment", ["0001-01-01 00:00:00.000000", "9999-12-31 00:00:00.000000"])
async def test_times_at_the_ends_are_read(database: Database, moment: str) -> None:
    await database.run(lambda c: audit.append(c, [AuditEntry(Act.JOB_PAUSED, "job/1", datetime.now(UTC))]))
    await database.run(lambda c: c.execute(text(f"UPDATE audit_entry SET at = '{moment}'")))
    async with database.reading() as connection:
        [found] = await audit.following(connection, -1)
    assert found.at.year in (1, 9999)
    assert UNREADABLE.tzinfo is UTC
