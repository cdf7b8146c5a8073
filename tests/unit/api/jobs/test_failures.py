"""What failed in a job, by cause, and its retry."""

from uuid import UUID, uuid4

from app.db import reports
from tests.support.rows import insert_job
from tests.unit.api.issuer import token
from tests.unit.api.job_app import READ, READER, JobApp, failed, succeeded


async def test_failures_are_shown_by_cause(api: JobApp) -> None:
    job_id = await insert_job(api.database, 4)
    await api.settle(failed(job_id, 2), failed(job_id, 0), failed(job_id, 3, READ + "HTTP 503 (4 attempts)"))
    assert await api.shown(f"{job_id}/failures") == {
        "failed": 3,
        "causes": [
            {
                "cause": READ + "HTTP 404",
                "count": 2,
                "first": "2026-05-08T07:26:37.123Z",
                "last": "2026-05-08T07:26:37.123Z",
                "examples": [
                    {"position": n, "id": f"ref-{n}", "version": None, "message": READ + "HTTP 404"}
                    | {"traceId": f"{n:032x}"}
                    for n in (0, 2)
                ],
            },
            {
                "cause": READ + "HTTP 503",
                "count": 1,
                "first": "2026-05-08T07:26:37.123Z",
                "last": "2026-05-08T07:26:37.123Z",
                "examples": [
                    {"position": 3, "id": "ref-3", "version": None, "message": READ + "HTTP 503 (4 attempts)"}
                    | {"traceId": f"{3:032x}"}
                ],
            },
        ],
        "others": 0,
    }


async def test_a_job_without_failures_has_none_and_an_unknown_job_is_404(api: JobApp) -> None:
    job_id = await insert_job(api.database, 1)
    assert await api.shown(f"{job_id}/failures") == {"failed": 0, "causes": [], "others": 0}
    assert (await api.get(f"{uuid4()}/failures")).status_code == 404


async def test_failures_are_not_for_those_who_may_only_write(api: JobApp) -> None:
    job_id = await insert_job(api.database, 1)
    assert (await api.get(f"{job_id}/failures", **READER)).status_code == 200
    only_write = {"Authorization": f"Bearer {token(scope='backfilljob:write')}"}
    assert (await api.get(f"{job_id}/failures", **only_write)).status_code == 403


async def retried(api: JobApp, job_id: UUID) -> list[str]:
    async with api.database.reading() as connection:
        return [each.reference.id for each in await reports.page(connection, job_id, -1, 100, None)]


async def test_a_retry_of_one_cause_has_only_what_failed_of_it(api: JobApp) -> None:
    job_id, first, second, all_of_it = await insert_job(api.database, 6), uuid4(), uuid4(), uuid4()
    await api.settle(
        *(failed(job_id, n, READ + f"HTTP 503 ({n} attempts)") for n in (4, 1)), failed(job_id, 3), succeeded(job_id, 0)
    )
    [most, other] = [each["cause"] for each in (await api.shown(f"{job_id}/failures"))["causes"]]
    body = {"jobId": str(first), "cause": most}
    answers = [await api.post(f"{job_id}/retry", body) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[1].json()["counts"]["total"] == 2
    assert await retried(api, first) == ["ref-1", "ref-4"]
    assert (await api.post(f"{job_id}/retry", {"jobId": str(second), "cause": other})).status_code == 201
    assert await retried(api, second) == ["ref-3"]
    assert (await api.post(f"{job_id}/retry", {"jobId": str(all_of_it)})).status_code == 201
    assert await retried(api, all_of_it) == ["ref-1", "ref-3", "ref-4"]


async def test_the_same_id_for_another_cause_is_refused(api: JobApp) -> None:
    job_id, new_id = await insert_job(api.database, 2), uuid4()
    await api.settle(failed(job_id, 0), failed(job_id, 1, READ + "HTTP 410"))
    assert (await api.post(f"{job_id}/retry", {"jobId": str(new_id), "cause": READ + "HTTP 404"})).status_code == 201
    for cause in ({"cause": READ + "HTTP 410"}, {}, {"cause": None}):
        answer = await api.post(f"{job_id}/retry", {"jobId": str(new_id), **cause})
        assert answer.status_code == 409, cause
        assert f"Job {new_id} exists and is not" in answer.json()["detail"]


async def test_a_cause_that_does_not_exist_is_409_and_makes_nothing(api: JobApp) -> None:
    job_id, new_id = await insert_job(api.database, 2), uuid4()
    await api.settle(failed(job_id, 0, READ + "HTTP 503 (4 attempts)"))
    for cause in (READ + "HTTP 503 (4 attempts)", "", "x"):
        answer = await api.post(f"{job_id}/retry", {"jobId": str(new_id), "cause": cause})
        assert answer.status_code == 409
        assert answer.json()["detail"].endswith("has no failed references of this cause; nothing was changed.")
    assert (await api.get(str(new_id))).status_code == 404


async def test_what_cannot_be_a_cause_is_400(api: JobApp) -> None:
    job_id = await insert_job(api.database, 1)
    for cause in ("a\0b", "x" * 1001, 7):
        answer = await api.post(f"{job_id}/retry", {"jobId": str(uuid4()), "cause": cause})
        assert answer.status_code == 400, cause
        assert answer.json()["errors"][0]["path"] == "cause"
