"""What jobs wait for, in their rows."""

from tests.unit.db.test_waiting import *
