"""A database of the service, migrated and empty."""

from tests.unit.metadata.runs.conftest import database

__all__ = ["database"]
