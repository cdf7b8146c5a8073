"""Metadata of archived documents: their definitions, the runs that bring metadata up to date, and search."""
