"""What is configured: archive types and schemas."""

from fastapi import APIRouter, Request, Response

from app.api.archive_types import endpoints
from app.ui.answers import render
from app.ui.operator import ReadsJobs
from app.ui.page import ThePage
from app.ui.queries import Filters
from app.ui.routes import PageRoute

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/ui/archive-types")
async def list_types(request: Request, page: ThePage, operator: ReadsJobs) -> Response:
    Filters(request, ())
    known = await endpoints.list_archive_types(operator.caller, page.edge)
    return render(request, page, "archive_types.html", operator, known=known)
