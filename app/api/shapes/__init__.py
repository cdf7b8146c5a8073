"""Shapes that several endpoints share: ids, cursors, examples."""
