"""Tests of app/api/runs."""
