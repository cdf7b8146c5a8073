"""All views of the page, and what is at addresses that have none."""

from fastapi import APIRouter, Request, Response

from app.api.http.problems import ApiProblem
from app.ui import static_files
from app.ui.answers import VIEWS, led_to, render
from app.ui.artifacts import artifact, searched
from app.ui.jobs import acts, job, listed, new, proof, references
from app.ui.login import endpoints
from app.ui.metadata import by_hand, runs
from app.ui.operator import AnOperator
from app.ui.page import ThePage
from app.ui.routes import PageRoute
from app.ui.state import archive_types, audit, reconcile, system

start = APIRouter(include_in_schema=False, route_class=PageRoute)


@start.get("/ui/")
async def begin(request: Request, page: ThePage, operator: AnOperator) -> Response:
    """Leads to the first view that the roles allow."""
    for view in VIEWS:
        if operator.caller.has(*view.role):
            return led_to(request, page, view.path)
    return render(request, page, "no_roles.html", operator, status=403)


@start.get("/")
@start.get("/ui")
async def without_slash(request: Request, page: ThePage) -> Response:
    return led_to(request, page, "/ui/")


nothing = APIRouter(include_in_schema=False, route_class=PageRoute)


@nothing.get("/ui/{rest:path}")
async def not_there() -> Response:
    raise ApiProblem(404, "There is no view at this address.")


ROUTERS = (
    start,
    static_files.router,
    endpoints.router,
    listed.router,
    new.router,
    job.router,
    proof.router,
    acts.router,
    references.router,
    searched.router,
    artifact.router,
    runs.router,
    by_hand.router,
    archive_types.router,
    system.router,
    audit.router,
    reconcile.router,
    nothing,
)
