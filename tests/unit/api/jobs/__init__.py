"""Tests of app/api/jobs."""
