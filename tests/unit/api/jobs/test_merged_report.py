"""A report over a job and its retries."""

import random
from typing import Any
from uuid import UUID, uuid4

import pytest
import yaml
from sqlalchemy import update

from app.db.tables import job as job_table
from app.domain.jobs import TaskId, TaskState
from app.domain.tasks import Outcome
from tests.support.rows import NOW, insert_job
from tests.unit.api.job_app import READ, JobApp, failed, succeeded


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.jobs.merged_report.PAGE", 3)
    monkeypatch.setattr("app.jobs.merged_report.IN_MEMORY", 2)
    monkeypatch.setattr("app.jobs.merged_report.FEWEST", 2)


async def retry(api: JobApp, job_id: UUID, cause: str | None = None) -> UUID:
    new_id = uuid4()
    answer = await api.post(f"{job_id}/retry", {"jobId": str(new_id), "cause": cause})
    assert answer.status_code == 201, answer.text
    return new_id


async def merged(api: JobApp, job_id: UUID, more: str = "") -> dict[str, Any]:
    answer = await api.get(f"{job_id}/report?merged=true{more}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/yaml")
    report: dict[str, Any] = yaml.safe_load(answer.text)
    return report


def states(report: dict[str, Any]) -> list[str]:
    return [f"{each['id']} {each['state']}" for each in report["archiveDataReferences"]]


async def test_each_reference_is_there_once_as_it_stands_after_the_last_retry(api: JobApp) -> None:
    job_id = await insert_job(api.database, 5)
    await api.settle(*(failed(job_id, n) for n in (1, 2, 4)), succeeded(job_id, 0), succeeded(job_id, 3))
    first = await retry(api, job_id)
    await api.settle(succeeded(first, 0), *(failed(first, n, READ + "HTTP 410") for n in (1, 2)))
    second = await retry(api, first)
    await api.settle(failed(second, 0, READ + "HTTP 500"), succeeded(second, 1))
    text = (await api.get(f"{job_id}/report?merged=true")).text
    assert f"job-id: {job_id}\nretries:\n  - {first}\n  - {second}\nstarted: " in text
    report = await merged(api, job_id)
    assert states(report) == [
        *("ref-0 succeeded", "ref-1 succeeded", "ref-2 failed", "ref-3 succeeded", "ref-4 succeeded"),
    ]
    assert report["archiveDataReferences"][2]["error"]["message"] == READ + "HTTP 500"
    assert (report["job-state"], report["job-result"]) == ("completed", "partially-succeeded")
    assert states(await merged(api, job_id, "&state=failed")) == ["ref-2 failed"]
    assert states(await merged(api, first)) == ["ref-1 succeeded", "ref-2 failed", "ref-4 succeeded"]
    assert (await api.get(f"{job_id}/report")).text.count("retries") == 0


async def test_it_is_open_while_one_of_them_is(api: JobApp) -> None:
    job_id = await insert_job(api.database, 2)
    await api.settle(failed(job_id, 0), failed(job_id, 1))
    new_id = await retry(api, job_id)
    report = await merged(api, job_id)
    assert report["job-state"] == "open"
    assert not {"job-result", "report-created"} & set(report)
    assert states(report) == ["ref-0 open", "ref-1 open"]
    await api.settle(succeeded(new_id, 0), succeeded(new_id, 1))
    report = await merged(api, job_id)
    assert (report["job-state"], report["job-result"]) == ("completed", "succeeded")
    assert (await merged(api, job_id, "&state=failed"))["archiveDataReferences"] == []
    nothing_yet = await merged(api, await insert_job(api.database, 1))
    assert (nothing_yet["job-state"], nothing_yet["retries"]) == ("open", [])


async def test_a_job_without_retries_has_its_own_report_with_an_empty_list(api: JobApp) -> None:
    job_id = await insert_job(api.database, 3)
    await api.settle(failed(job_id, 0), succeeded(job_id, 1), succeeded(job_id, 2))
    plain = (await api.get(f"{job_id}/report")).text
    assert (await api.get(f"{job_id}/report?merged=true")).text == plain.replace("started:", "retries: []\nstarted:", 1)
    assert (await api.get(f"{job_id}/report?merged=false")).text == plain
    assert (await api.get(f"{uuid4()}/report?merged=true")).status_code == 404
    assert (await api.get(f"{job_id}/report?merged=perhaps")).status_code == 400


async def test_it_ends_with_the_last_of_them(api: JobApp) -> None:
    job_id = await insert_job(api.database, 1)
    await api.settle(failed(job_id, 0))
    new_id = await retry(api, job_id)
    await api.settle(failed(new_id, 0))
    async with api.database.engine.begin() as connection:
        later = NOW.replace(year=2027)
        await connection.execute(update(job_table).where(job_table.c.id == new_id).values(completed=later))
    report = await merged(api, job_id)
    assert (report["report-created"].year, report["job-result"]) == (2027, "failed")


@pytest.mark.parametrize("seed", range(3))
async def test_any_tree_of_retries_gives_what_the_last_of_them_left(api: JobApp, seed: int) -> None:
    dice = random.Random(seed)
    count = 17
    job_id = await insert_job(api.database, count)
    tree = {job_id: [f"ref-{n}" for n in range(count)]}
    true: dict[str, str] = {}

    async def settle(of: UUID) -> list[str]:
        left = []
        for position, id_ in enumerate(tree[of]):
            state = dice.choice([TaskState.SUCCEEDED, TaskState.FAILED, TaskState.FAILED])
            message = f"{READ}HTTP {dice.choice([404, 410])}" if state is TaskState.FAILED else None
            await api.settle(Outcome(TaskId(of, position), state, message, "t"))
            true[id_] = state
            if message:
                left.append(message)
        return left

    failures = {job_id: await settle(job_id)}
    for _ in range(6):
        of = dice.choice([each for each in tree if failures[each]])
        cause = dice.choice([None, failures[of][0]])
        new_id = await retry(api, of, cause)
        report = await api.shown(f"{new_id}/references")
        tree[new_id] = [each["id"] for each in report["items"]]
        failures[new_id] = await settle(new_id)
    report = await merged(api, job_id)
    assert states(report) == [f"ref-{n} {true[f'ref-{n}']}" for n in range(count)]
    assert len(report["retries"]) == 6
    results = {1: {"succeeded": "succeeded", "failed": "failed"}.get(true["ref-0"]), 2: "partially-succeeded"}
    assert report["job-result"] == results[len(set(true.values()))]
