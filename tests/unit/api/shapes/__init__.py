"""Tests of app/api/shapes."""
