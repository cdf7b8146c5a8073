"""Search of artifacts by metadata."""

from tests.unit.metadata.test_search import *
