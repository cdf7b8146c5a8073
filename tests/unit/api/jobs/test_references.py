"""References of a job: JSON pages, and all of them as CSV or NDJSON."""

import csv
import io
import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.api.jobs.reference_rows import HEAD
from app.api.shapes.cursors import ListOf, cursor_at
from app.db import jobs, tasks
from app.domain.artifacts import ArchivedArtifact
from app.domain.jobs import Reference, TaskId, TaskState
from app.domain.tasks import NoData, Outcome
from tests.support.rows import insert_job, new_job, stored_artifact
from tests.unit.api.issuer import token
from tests.unit.api.job_app import READ, JobApp, failed

CSV, NDJSON = {"Accept": "text/csv"}, {"Accept": "application/x-ndjson"}


async def job_of(api: JobApp, *ids: str) -> UUID:
    references = [Reference(id_) for id_ in ids]
    new = new_job(references)
    await api.database.run(lambda c: jobs.insert_if_absent(c, new))
    await api.database.run(lambda c: jobs.insert_tasks(c, new.id, references))
    return new.id


async def one_of_each(api: JobApp) -> UUID:
    job_id = await insert_job(api.database, 4)
    stored = stored_artifact()
    archived = ArchivedArtifact(stored, job_id, Reference("ref-0"), "M", None, 0, {})
    await api.database.run(lambda c: tasks.note(c, [(TaskId(job_id, 0), stored)]))
    await api.settle(
        Outcome(TaskId(job_id, 0), TaskState.SUCCEEDED, archived=archived),
        failed(job_id, 1, READ + "HTTP 503 (4 attempts)"),
        NoData(TaskId(job_id, 2), "t"),
    )
    return job_id


AT = "2026-05-08T07:26:37.123Z"
SHOWN: list[dict[str, Any]] = [
    {
        "position": 0,
        "id": "ref-0",
        "version": None,
        "state": "succeeded",
        "error": None,
        "attempts": 1,
        "publishedAt": None,
        "noData": None,
        "storedAt": AT,
        "finishedAt": AT,
        "object": {
            "artifactId": 1,
            "bucket": "archive",
            "key": "PSF/OsvRecord/68/688d/v0",
            "versionId": "v",
            "sha256": "0" * 64,
            "size": 4711,
            "retainUntil": None,
        },
    },
    {
        "position": 1,
        "id": "ref-1",
        "version": None,
        "state": "failed",
        "error": {
            "message": READ + "HTTP 503 (4 attempts)",
            "cause": READ + "HTTP 503",
            "traceId": "0" * 31 + "1",
        },
        "attempts": 4,
        "publishedAt": None,
        "noData": None,
        "storedAt": None,
        "finishedAt": AT,
        "object": None,
    },
    {
        "position": 2,
        "id": "ref-2",
        "version": None,
        "state": "open",
        "error": None,
        "attempts": 0,
        "publishedAt": AT,
        "noData": {"count": 1, "at": AT},
        "storedAt": None,
        "finishedAt": None,
        "object": None,
    },
]


async def test_each_reference_is_shown_in_the_order_of_submission(api: JobApp) -> None:
    job_id = await one_of_each(api)
    found = await api.shown(f"{job_id}/references?limit=3")
    assert found == {"items": SHOWN, "next": cursor_at(ListOf.REFERENCES, 2)}
    rest = await api.shown(f"{job_id}/references?cursor={found['next']}")
    assert [each["id"] for each in rest["items"]] == ["ref-3"]
    assert rest["next"] is None


async def test_filters_go_together_with_pages(api: JobApp) -> None:
    job_id = await job_of(api, "a1", "b1", "a2", "a3", "b2", "a%")
    await api.settle(failed(job_id, 0), failed(job_id, 2, READ + "HTTP 410"), failed(job_id, 3), failed(job_id, 4))

    async def ids(query: str) -> list[str]:
        return [each["id"] for each in (await api.shown(f"{job_id}/references?{query}"))["items"]]

    assert await ids("id=a&state=failed") == ["a1", "a2", "a3"]
    assert await ids(f"id=a&state=failed&limit=1&cursor={cursor_at(ListOf.REFERENCES, 0)}") == ["a2"]
    assert await ids(f"id=a&cause={READ}HTTP 404") == ["a1", "a3"]
    assert await ids(f"cause={READ}HTTP 410&state=failed") == ["a2"]
    assert await ids(f"cause={READ}HTTP 410&state=open") == []
    assert await ids("cause=unknown") == []
    assert await ids("id=a%25") == ["a%"]
    assert await ids("state=open") == ["b1", "a%"]
    assert await ids(f"cursor={cursor_at(ListOf.REFERENCES, 5)}") == []


async def test_csv_has_all_pages_with_nested_names_joined(api: JobApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.jobs.references.PAGE", 2)
    job_id = await one_of_each(api)
    answer = await api.get(f"{job_id}/references?limit=1", **CSV)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert answer.headers["content-disposition"] == f'attachment; filename="references-{job_id}.csv"'
    head, *rows = csv.reader(io.StringIO(answer.text, newline=""), strict=True)
    assert head == [
        *("position", "id", "version", "state", "errorMessage", "errorCause", "errorTraceId", "attempts"),
        *("publishedAt", "noDataCount", "noDataAt", "storedAt", "finishedAt", "objectArtifactId", "objectBucket"),
        *("objectKey", "objectVersionId", "objectSha256", "objectSize", "objectRetainUntil"),
    ]
    assert head == list(HEAD)
    stored = ["1", "archive", "PSF/OsvRecord/68/688d/v0", "v", "0" * 64, "4711", ""]
    assert rows[0] == ["0", "ref-0", "", "succeeded", "", "", "", "1", "", "", "", AT, AT, *stored]
    error = [READ + "HTTP 503 (4 attempts)", READ + "HTTP 503", "0" * 31 + "1"]
    assert rows[1] == ["1", "ref-1", "", "failed", *error, "4", "", "", "", "", AT, *[""] * 7]
    assert rows[2][9:11] == ["1", AT]
    assert len(rows) == 4


async def test_ndjson_has_the_items_of_json_a_line_each(api: JobApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.jobs.references.PAGE", 2)
    job_id = await one_of_each(api)
    answer = await api.get(f"{job_id}/references", **NDJSON)
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line) for line in answer.text.splitlines()][:3] == SHOWN
    none = await api.get(f"{job_id}/references?id=zz", **NDJSON)
    assert (none.status_code, none.content) == (200, b"")


async def test_no_line_of_ndjson_ends_within_a_text(api: JobApp) -> None:
    ids = ["a\u2028b", "a\u2029b", "a\x85b", "a'b"]
    job_id = await job_of(api, *ids)
    answer = await api.get(f"{job_id}/references", **NDJSON)
    assert [json.loads(line)["id"] for line in answer.content.decode().splitlines()] == ids


@pytest.mark.parametrize("id_", ["=1+1", "+1", "-2", "@SUM(A1)", " =1", "\u200b=1", "\xa0\xa0-1", "＝1"])
async def test_no_text_of_csv_is_a_formula(api: JobApp, id_: str) -> None:
    job_id = await job_of(api, id_, 'a";\t=b', "a b")
    await api.settle(failed(job_id, 0, "=1"))
    first, *others = csv.DictReader(io.StringIO((await api.get(f"{job_id}/references", **CSV)).text, newline=""))
    assert (first["id"], first["errorMessage"], first["errorCause"]) == (f"'{id_}", "'=1", "'=1")
    assert [each["id"] for each in others] == ['a";\t=b', "a b"]


async def test_what_cannot_be_is_400_and_an_unknown_job_is_404(api: JobApp) -> None:
    job_id = await insert_job(api.database, 1)
    queries = [
        "cursor=x",
        "cursor=2",
        f"cursor={cursor_at(ListOf.REFERENCES, -1)}",
        f"cursor={cursor_at(ListOf.REFERENCES, 2147483648)}",
        "state=done",
        "limit=0",
        "limit=1001",
        "id=%00",
        "cause=%00",
    ]
    for query in queries:
        for headers in ({}, CSV):
            answer = await api.get(f"{job_id}/references?{query}", **headers)
            assert answer.status_code == 400, query
            assert answer.json()["errors"][0]["path"] == query.partition("=")[0]
    for headers in ({}, CSV, NDJSON):
        assert (await api.get(f"{uuid4()}/references", **headers)).status_code == 404
        only_write = {"Authorization": f"Bearer {token(scope='backfilljob:write')}"}
        assert (await api.get(f"{job_id}/references", **headers, **only_write)).status_code == 403
    last = cursor_at(ListOf.REFERENCES, 2147483647)
    assert (await api.get(f"{job_id}/references?cursor={last}")).json() == {"items": [], "next": None}


@pytest.mark.parametrize(
    ("message", "attempts"),
    [
        (READ + "HTTP 404", 1),
        (READ + "HTTP 503 (4 attempts)", 4),
        (READ + "read timed out after 5s (1 attempt)", 1),
        (READ + "connection refused (unreachable for 1h)", 0),
        ("Archive data does not match schema PSF/OsvRecord version 1: $.id: is missing", 1),
        ("Unknown archive data schema PSF/Osv version 1", 1),
        ("Failed storing artifact: a tag is too long", 1),
        ("Unknown archive type configuration M", 0),
        ("cancelled by Dora", 0),
    ],
)
async def test_attempts_say_how_often_the_source_was_asked(api: JobApp, message: str, attempts: int) -> None:
    job_id = await insert_job(api.database, 1)
    await api.settle(failed(job_id, 0, message))
    (shown,) = (await api.shown(f"{job_id}/references"))["items"]
    assert shown["attempts"] == attempts
