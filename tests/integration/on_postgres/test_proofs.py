"""Jobs that owe a proof, on PostgreSQL."""

from tests.unit.db.test_proofs import *
