"""The state of the service: what is not well, sources, work, processes."""

from fastapi import APIRouter, Request, Response

from app.api.system.models import SystemView
from app.ui.answers import render
from app.ui.operator import ReadsJobs
from app.ui.page import ThePage
from app.ui.queries import Filters
from app.ui.routes import PageRoute

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/ui/system")
async def look(request: Request, page: ThePage, operator: ReadsJobs) -> Response:
    """Works while the database is away as long as the session is known; what only the database knows is left out."""
    Filters(request, ())
    state = SystemView.of(await page.edge.overview.now())
    return render(
        request,
        page,
        "system.html",
        operator,
        state=state,
        ill=[each for each in state.components if not each.well],
    )
