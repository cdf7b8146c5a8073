"""What became of references, over all jobs."""

from tests.unit.evidence.test_reconcile import *
