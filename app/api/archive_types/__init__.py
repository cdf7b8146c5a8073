"""The endpoint of the archive types."""
