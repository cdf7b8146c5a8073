"""How many tasks ended in the last minute."""

from tests.unit.db.test_progress import *
