"""Verdicts as NDJSON and CSV."""

from collections import Counter
from collections.abc import Sequence

import orjson

from app.api.shapes.csv_rows import csv_row
from app.domain.json_lines import on_one_line
from app.domain.reconciled import OF_OBJECTS, Reconciled, ReferenceVerdict

HEAD = ("id", "version", "verdict", "artifactId", "jobId")
"""Columns of CSV."""


def csv_header() -> bytes:
    return csv_row(HEAD)


def csv_rows(found: Sequence[Reconciled]) -> bytes:
    return b"".join(
        csv_row((
            each.reference.id,
            each.reference.version,
            each.verdict.value,
            each.artifact_id,
            None if each.job_id is None else str(each.job_id),
        ))
        for each in found
    )  # fmt: skip


def ndjson_rows(found: Sequence[Reconciled]) -> bytes:
    lines = b"\n".join(
        orjson.dumps({
            "id": each.reference.id,
            "version": each.reference.version,
            "verdict": each.verdict.value,
            "artifactId": each.artifact_id,
            "jobId": each.job_id,
        })
        for each in found
    )  # fmt: skip
    return on_one_line(lines) + b"\n"


def counts_line(counts: Counter[ReferenceVerdict], *, verify: bool) -> bytes:
    """The last line of NDJSON: each verdict that is possible, those of objects only where these were looked at."""
    possible = [each for each in ReferenceVerdict if verify or each not in OF_OBJECTS]
    return orjson.dumps({"counts": {each.value: counts[each] for each in possible}}) + b"\n"


def error_line(text: str) -> bytes:
    """The last line of NDJSON that could not be sent to its end."""
    return on_one_line(orjson.dumps({"error": text})) + b"\n"
