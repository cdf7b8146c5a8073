"""Tests against real PostgreSQL, Kafka, S3 and an OAuth server."""
