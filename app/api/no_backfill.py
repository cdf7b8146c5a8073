"""What the endpoints of submission, report and preflight say while backfill is not enabled: they are not there."""

from fastapi import APIRouter, Response

from app.api.http.problems import ApiProblem

router = APIRouter()

NOT_ENABLED = (
    "Backfill is not enabled here, only messages are archived as they come: "
    "that needs jeap.processarchive.backfill.enabled."
)


@router.put("/api/jobs/{job_id}", include_in_schema=False)
@router.get("/api/jobs/{job_id}/report", include_in_schema=False)
@router.post("/api/preflight", include_in_schema=False)
async def not_enabled() -> Response:
    raise ApiProblem(404, NOT_ENABLED)
