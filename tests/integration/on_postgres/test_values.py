"""Values of metadata: which a run writes, and which stay."""

from tests.unit.metadata.runs.test_values import *
