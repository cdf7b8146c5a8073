"""Texts in queries."""

NO_NUL = "^[^\\x00]*$"
"""PostgreSQL knows no text with one."""
