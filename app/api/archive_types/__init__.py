"""The endpoint of what may be submitted."""
