"""Metadata runs: their batches, and what steers them."""

from tests.unit.metadata.runs.test_runs import *
