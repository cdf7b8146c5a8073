"""The state of the service: what is not well, sources, work, processes."""

import logging
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from app.api.system.models import SystemView
from app.domain.errors import Unavailable
from app.domain.minutes import SourceCourse
from app.ui import charts
from app.ui.answers import render
from app.ui.operator import ReadsJobs
from app.ui.page import Page, ThePage
from app.ui.routes import PageRoute

log = logging.getLogger(__name__)

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/ui/system")
async def look(request: Request, page: ThePage, operator: ReadsJobs) -> Response:
    """Works while the database is away as long as the session is known; what only the database knows is left out."""
    days = charts.days_of(request)
    state = SystemView.of(await page.edge.overview.now())
    return render(
        request,
        page,
        "system.html",
        operator,
        state=state,
        limits=await _limits(page, int(days)),
        days=days,
        ill=[each for each in state.components if not each.well],
    )


async def _limits(page: Page, days: int) -> list[SourceCourse]:
    """None while the database is away: the rest of the view is more urgent then."""
    try:
        return await page.limits.of(days, datetime.now(UTC))
    except Unavailable as outage:
        log.debug("the limits of sources are not shown: %s", outage)
        return []
