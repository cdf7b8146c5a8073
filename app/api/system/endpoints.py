"""The endpoint of the state of the service: components, sources, work, dead letters, processes."""

from fastapi import APIRouter, Response

from app.api.edge import MayReadJobs, TheEdge
from app.api.http.problems import responses
from app.api.shapes.examples import SYSTEM, shown
from app.api.system.models import SystemView

router = APIRouter(prefix="/api/system", tags=["operation"])


@router.get(
    "",
    summary="Look at the service",
    responses={200: shown("The state of the service.", SYSTEM), **responses(400, 401, 403, 503)},
)
async def look(_caller: MayReadJobs, edge: TheEdge, response: Response) -> SystemView:
    """What is not well and since when, sources with their limits and rests, work, dead letters, processes.

    Answers while the database is away too; what only the database knows is null then.
    """
    response.headers["Cache-Control"] = "no-store"
    return SystemView.of(await edge.overview.now())
