"""Artifacts as JSON, NDJSON and CSV, written by hand: stored values are copied as text, so no number loses a digit."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import orjson

from app.api.shapes.csv_rows import plain_row
from app.api.shapes.moments import timestamp
from app.domain.exact_json import read_json, write_json
from app.domain.extraction import ValueKind, searchable
from app.domain.json_lines import on_one_line
from app.domain.search import FoundArtifact, FoundValue
from app.domain.spreadsheets import guarded

HEAD = (
    "id",
    "messageType",
    "configId",
    "referenceId",
    "version",
    "system",
    "schema",
    "schemaVersion",
    "contentType",
    "size",
    "hash",
    "bucket",
    "key",
    "versionId",
    "archivedAt",
    "retainUntil",
    "jobId",
)


def _head(artifact: FoundArtifact) -> tuple[Any, ...]:
    """The values of `HEAD`."""
    stored = artifact.object
    return (
        artifact.id,
        artifact.message_type,
        artifact.config_id,
        artifact.reference_id,
        artifact.version,
        *stored.schema,
        stored.content_type,
        artifact.object.size,
        stored.sha256,
        stored.bucket,
        stored.key,
        stored.version_id,
        _time(artifact.archived_at),
        _time(artifact.retain_until),
        str(artifact.job_id),
    )


def _time(time: datetime | None) -> str | None:
    return None if time is None else timestamp(time)


def json_artifact(artifact: FoundArtifact) -> bytes:
    head = orjson.dumps(dict(zip(HEAD, _head(artifact), strict=True)))
    values = ",".join(f"{write_json(key)}:{value.json}" for key, value in artifact.metadata.items())
    return on_one_line(head[:-1] + f',"metadata":{{{values}}}}}'.encode())


def json_page(artifacts: Iterable[FoundArtifact], cursor: str | None) -> bytes:
    items = b",".join(json_artifact(artifact) for artifact in artifacts)
    return b'{"items":[' + items + b'],"next":' + orjson.dumps(cursor) + b"}"


def ndjson_rows(artifacts: Iterable[FoundArtifact]) -> bytes:
    return b"".join(json_artifact(artifact) + b"\n" for artifact in artifacts)


def csv_header(keys: Sequence[str]) -> bytes:
    return plain_row([*HEAD, *(f"metadata.{key}" for key in keys)])


def csv_rows(artifacts: Iterable[FoundArtifact], keys: Sequence[str]) -> bytes:
    """A row for each artifact, with the values of `keys` at its end; a value that is null or absent is empty."""
    return b"".join(
        plain_row(
            [
                *(guarded(each) if isinstance(each, str) else each for each in _head(artifact)),
                *(_cell(artifact.metadata.get(key)) for key in keys),
            ]
        )
        for artifact in artifacts
    )


def _cell(value: FoundValue | None) -> str | None:
    """A text as it is; any other value as JSON."""
    if value is None or value.kind is ValueKind.NULL:
        return None
    if value.kind is ValueKind.TEXT:
        return guarded(searchable(read_json(value.json.encode())))
    return value.json
