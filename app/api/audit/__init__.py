"""The endpoints of the audit log."""
