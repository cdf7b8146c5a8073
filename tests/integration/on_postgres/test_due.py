"""The commands that may be sent now."""

from tests.unit.db.test_due import *
