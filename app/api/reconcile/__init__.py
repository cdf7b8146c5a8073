"""The endpoint that compares a list of references with the archive."""
