"""Live archiving by the minute, on PostgreSQL."""

from tests.unit.db.test_live_minutes import *
