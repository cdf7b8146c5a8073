"""References of a job as JSON, NDJSON and CSV."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from app.api.shapes.csv_rows import csv_row
from app.api.shapes.moments import Moment, timestamp
from app.domain.jobs import TaskState
from app.domain.json_lines import on_one_line
from app.domain.references import ReferenceStatus

_CAMEL = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class ErrorView(BaseModel):
    model_config = _CAMEL

    message: str | None
    cause: Annotated[str, Field(description="the message without parts that depend on the document or the attempt")]
    trace_id: str | None


class NoDataView(BaseModel):
    count: Annotated[int, Field(description="how often the source answered without data")]
    at: Annotated[Moment | None, Field(description="time of the last such answer")]


class ObjectView(BaseModel):
    model_config = _CAMEL

    artifact_id: int | None
    bucket: str
    key: str
    version_id: str
    sha256: Annotated[str, Field(description="hex")]
    size: Annotated[int, Field(description="bytes")]
    retain_until: Moment | None


class ReferenceView(BaseModel):
    """A reference of a job and its outcome; null stands for what does not exist (yet)."""

    model_config = _CAMEL

    position: Annotated[int, Field(description="place in the submission, from 0")]
    id: str
    version: int | None
    state: TaskState
    error: ErrorView | None
    attempts: Annotated[int, Field(description="how often its source was asked for it, as far as that was kept")]
    published_at: Annotated[Moment | None, Field(description="when its command was last published")]
    no_data: NoDataView | None
    stored_at: Moment | None
    finished_at: Moment | None
    object: Annotated[ObjectView | None, Field(description="another job may have stored it before")]


class ReferencePage(BaseModel):
    items: list[ReferenceView]
    next: Annotated[str | None, Field(description="`cursor` of the next page")]


HEAD = (
    *("position", "id", "version", "state", "errorMessage", "errorCause", "errorTraceId", "attempts", "publishedAt"),
    *("noDataCount", "noDataAt", "storedAt", "finishedAt", "objectArtifactId", "objectBucket", "objectKey"),
    *("objectVersionId", "objectSha256", "objectSize", "objectRetainUntil"),
)
"""Columns of CSV."""


def _shown(status: ReferenceStatus) -> dict[str, Any]:
    failed, stored = status.state is TaskState.FAILED, status.object
    return {
        "position": status.position,
        "id": status.reference.id,
        "version": status.reference.version,
        "state": status.state.value,
        "error": {"message": status.message, "cause": status.cause, "traceId": status.trace_id} if failed else None,
        "attempts": status.attempts,
        "publishedAt": _time(status.published_at),
        "noData": {"count": status.no_data_count, "at": _time(status.no_data_at)} if status.no_data_count else None,
        "storedAt": None if stored is None else _time(stored.stored_at),
        "finishedAt": _time(status.finished_at),
        "object": None
        if stored is None
        else {
            "artifactId": stored.artifact_id,
            "bucket": stored.bucket,
            "key": stored.key,
            "versionId": stored.version_id,
            "sha256": stored.sha256,
            "size": stored.size,
            "retainUntil": _time(stored.retain_until),
        },
    }


def _time(time: datetime | None) -> str | None:
    return None if time is None else timestamp(time)


def json_page(references: Iterable[ReferenceStatus], cursor: str | None) -> bytes:
    return orjson.dumps({"items": [_shown(each) for each in references], "next": cursor})


def ndjson_rows(references: Iterable[ReferenceStatus]) -> bytes:
    return b"".join(on_one_line(orjson.dumps(_shown(each))) + b"\n" for each in references)


def csv_header() -> bytes:
    return csv_row(HEAD)


def csv_rows(references: Iterable[ReferenceStatus]) -> bytes:
    return b"".join(csv_row(_cells(_shown(each))) for each in references)


def _cells(shown: dict[str, Any]) -> Iterator[str | int | None]:
    """The values in the order of `HEAD`, those of nested objects in their place."""
    for name, value in shown.items():
        if name in _WIDTHS:
            yield from value.values() if value is not None else [None] * _WIDTHS[name]
        else:
            yield value


_WIDTHS = {"error": 3, "noData": 2, "object": 7}
