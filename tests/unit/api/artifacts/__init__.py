"""Tests of app/api/artifacts."""
