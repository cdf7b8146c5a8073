"""What is configured: archive types and schemas; and what was archived live of each."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response

from app.api.archive_types import endpoints
from app.ui import charts
from app.ui.answers import render
from app.ui.operator import ReadsJobs
from app.ui.page import ThePage
from app.ui.routes import PageRoute

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/ui/archive-types")
async def list_types(request: Request, page: ThePage, operator: ReadsJobs) -> Response:
    days = charts.days_of(request)
    known = await endpoints.list_archive_types(operator.caller, page.edge)
    live = [each for each in known.items if each.live]
    courses = await page.minutes.live(int(days), datetime.now(UTC)) if live else {}
    return render(
        request,
        page,
        "archive_types.html",
        operator,
        known=known,
        live=[(each, courses.get((each.message_type, each.config_id))) for each in live],
        days=days,
    )
