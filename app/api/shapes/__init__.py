"""Formats that several endpoints share: ids, cursors, times, examples."""
