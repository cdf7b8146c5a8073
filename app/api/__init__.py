"""The HTTP edge: parse, call, return."""
