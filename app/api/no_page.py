"""What the service says at its root where it has no page."""

from fastapi import APIRouter, Response

from app.api.http.problems import ApiProblem

router = APIRouter()

HERE = (
    "This is the Process Archive Service. Its API is described by /openapi.json, its state by /health/ready. It has no "
    "page: that needs jeap.processarchive.backfill.enabled and jeap.security.oauth2.ui-client."
)


@router.get("/", include_in_schema=False)
async def root() -> Response:
    raise ApiProblem(404, HERE)
