"""The audit log compared with its checkpoints."""

from tests.unit.evidence.test_audit_check import *
