"""The unit tests of queries once more, on PostgreSQL: each file runs all tests of the unit file that it names."""
