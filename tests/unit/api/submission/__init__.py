"""Tests of app/api/submission."""
