"""The endpoint of archive types."""
