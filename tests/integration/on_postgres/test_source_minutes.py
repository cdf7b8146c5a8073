"""The limits of sources by the minute, on PostgreSQL."""

from tests.unit.db.test_source_minutes import *
