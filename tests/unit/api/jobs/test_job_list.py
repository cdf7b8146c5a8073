"""The list of jobs: its filters, and what each job shows."""

from typing import Any
from uuid import UUID

import pytest

from tests.support.rows import NOW, change_job, insert_job
from tests.unit.api.job_app import JobApp, failed, succeeded


async def listed(api: JobApp, query: str) -> list[str]:
    answer = await api.client.get(f"/api/jobs?{query}")
    assert answer.status_code == 200, answer.text
    return [each["jobId"] for each in answer.json()["items"]]


@pytest.fixture
async def three(api: JobApp) -> list[UUID]:
    """One that succeeded, one that failed, one that waits."""
    done, failing, waits = [await insert_job(api.database, 1) for _ in range(3)]
    await api.settle(succeeded(done, 0), failed(failing, 0))
    await change_job(api.database, failing, name="decrees", started_by_ext_id="0042", started_by_subject="dora")
    away = {"waiting_for": "broker", "waiting_name": "broker", "waiting_since": NOW, "waiting_reason": "it is away"}
    await change_job(api.database, waits, **away)
    return [done, failing, waits]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("state=completed&result=failed", [1]),
        ("result=succeeded", [0]),
        ("result=partially-succeeded", []),
        ("kind=backfill", [0, 1, 2]),
        ("kind=live", []),
        ("startedBy=0042", [1]),
        ("startedBy=dora", [1]),
        ("startedBy=John%20Doe", [0, 1, 2]),
        ("waiting=true", [2]),
        ("waiting=false", [0, 1]),
        ("waiting=broker", [2]),
        ("waiting=source", []),
        ("message=M&waiting=schema-registry", []),
    ],
)
async def test_jobs_are_filtered(api: JobApp, three: list[UUID], query: str, found: list[int]) -> None:
    assert sorted(await listed(api, query)) == sorted(str(three[place]) for place in found)


@pytest.mark.parametrize(
    "query",
    [
        "result=open",
        "kind=metadata",
        "waiting=yes",
        "waiting=",
        "startedBy=",
        "started_by=x",
        "kind=live&kind=live",
        "name=x",
        "startedBy=%00",
    ],
)
async def test_filters_that_are_not_known_are_refused(api: JobApp, query: str) -> None:
    answer = await api.client.get(f"/api/jobs?{query}")
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_cursor_that_somebody_has_garbled_is_refused(api: JobApp, three: list[UUID]) -> None:
    cursor = (await api.client.get("/api/jobs?limit=1")).json()["next"]
    assert len(await listed(api, f"cursor={cursor}")) == 2
    junk = (f"{cursor[:5]}!{cursor[5:]}", f"{cursor}%20", f"{cursor}AAAA")
    for garbled in (*junk, cursor[:-4], cursor.lower(), "x", "é"):
        answer = await api.client.get(f"/api/jobs?cursor={garbled}")
        assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, "cursor"), garbled


async def test_a_job_shows_its_name_who_did_what_and_its_retries(api: JobApp, three: list[UUID]) -> None:
    job_id = three[1]
    retry = "88dbb65f-9634-4685-bc86-17b72d715d3e"
    answer = await api.post(f"{job_id}/retry", {"jobId": retry})
    assert answer.status_code == 201
    made: dict[str, Any] = answer.json()
    assert (made["name"], made["retryOf"], made["retries"], made["kind"]) == ("decrees", str(job_id), [], "backfill")
    assert made["traceId"] is not None
    assert (await api.post(f"{retry}/cancel", None)).status_code == 200
    cancelled = await api.shown(retry)
    assert [each["what"] for each in cancelled["actions"]] == ["cancelled"]
    assert cancelled["cancelledBy"] == cancelled["actions"][0]["by"]
    assert cancelled["cancelledAt"] == cancelled["actions"][0]["at"]
    old = await api.shown(str(job_id))
    assert (old["retries"], [each["what"] for each in old["actions"]]) == ([retry], ["retried"])
    assert (old["cancelledBy"], old["cancelledAt"], old["traceId"]) == (None, None, None)
