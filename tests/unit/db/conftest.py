"""The database for the tests of queries."""

from tests.unit.metadata.runs.conftest import database

__all__ = ["database"]
