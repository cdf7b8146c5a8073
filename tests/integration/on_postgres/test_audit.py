"""The audit log."""

from tests.unit.db.test_audit import *
