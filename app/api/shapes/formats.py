"""The formats that lists are sent in: a page as JSON, everything as CSV or NDJSON."""

FORMATS = {"json": "application/json", "csv": "text/csv", "ndjson": "application/x-ndjson"}
ALIASES = {"application/ndjson": "ndjson", "application/jsonl": "ndjson", "application/x-jsonlines": "ndjson"}
"""The format by other media types that clients know it by."""

CONTENT_TYPES = {**FORMATS, "csv": "text/csv; charset=utf-8; header=present"}
"""What an answer in a format says of itself."""
