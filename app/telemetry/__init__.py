"""Logs, traces and metrics. All packages may import this one; it imports nothing of the app."""
