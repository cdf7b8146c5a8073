"""`GET /api/artifacts`."""

from tests.unit.api.artifacts.test_search import *
