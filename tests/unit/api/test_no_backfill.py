"""Without backfill nothing can be submitted; the other endpoints of jobs are there."""

import httpx
import pytest

from app.api import no_backfill
from app.domain.readiness import Readiness
from app.main import create_app

JOB = "/api/jobs/6f9619ff-8b86-4011-b42d-00c04fc964ff"


@pytest.mark.parametrize(("method", "path"), [("PUT", JOB), ("GET", f"{JOB}/report"), ("POST", "/api/preflight")])
async def test_what_needs_backfill_is_not_there_and_says_what_would_be_needed(method: str, path: str) -> None:
    app = create_app("", Readiness(()), object(), submits=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pas") as client:
        answer = await client.request(method, path)
        paths = (await client.get("/openapi.json")).json()["paths"]
    assert (answer.status_code, answer.json()["detail"]) == (404, no_backfill.NOT_ENABLED)
    assert method.lower() not in paths.get(path.replace(JOB, "/api/jobs/{job_id}"), {})
