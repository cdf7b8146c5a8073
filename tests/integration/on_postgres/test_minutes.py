"""The course of jobs by the minute."""

from tests.unit.db.test_minutes import *
