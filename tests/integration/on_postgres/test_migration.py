"""Migration of an older database."""

from tests.unit.metadata.runs.test_migration import *
