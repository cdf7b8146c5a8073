"""The references of a job: filtered, found by their ids, page by page, as CSV; and everything of one of them."""

from uuid import UUID

from fastapi import APIRouter, Request, Response

from app.api.http.problems import ApiProblem
from app.api.jobs import control
from app.api.jobs.references import streamed
from app.api.shapes.cursors import ListOf, cursor_at, read_position_cursor
from app.api.shapes.ids import JobId, unknown
from app.domain.jobs import TaskState
from app.domain.mistakes import Mistake
from app.domain.references import WantedReferences
from app.jobs.control import UnknownJob
from app.jobs.references import PageOfReferences
from app.ui import texts
from app.ui.answers import render
from app.ui.operator import ReadsJobs
from app.ui.page import Page, ThePage
from app.ui.queries import Filters
from app.ui.routes import PageRoute

router = APIRouter(include_in_schema=False, route_class=PageRoute)

FIELDS = ("state", "id", "cause", "cursor")

PAGE = 100
"""References of one page."""


def _wanted(filters: Filters) -> WantedReferences:
    return WantedReferences(filters.choice("state", TaskState), filters.text("id"), filters.text("cause", 1000))


@router.get("/ui/jobs/{job_id}/references")
async def list_references(request: Request, page: ThePage, operator: ReadsJobs, job_id: JobId) -> Response:
    filters = Filters(request, FIELDS)
    wanted, after = _wanted(filters), read_position_cursor(ListOf.REFERENCES, filters.text("cursor"))
    job = await control.look(operator.caller, page.edge, job_id)
    try:
        await page.edge.references.check(job_id, wanted)
    except UnknownJob:
        raise unknown(job_id) from None
    found = await page.edge.references.page(job_id, wanted, after, PAGE)
    previous, last = await _ways_back(page, job_id, wanted, found, after)
    return render(
        request,
        page,
        "references.html",
        operator,
        job=job,
        mark=texts.mark_of(job),
        found=found.references,
        filters=filters,
        filtered=bool(filters.given.keys() - {"cursor"}),
        everything=filters.query(cursor=None),
        first=filters.query(cursor=None) if "cursor" in filters.given else None,
        following=None if found.next is None else filters.query(cursor=_cursor(found.next)),
        previous=None if previous is None else filters.query(cursor=_cursor(previous)),
        last=None if last is None else filters.query(cursor=_cursor(last)),
    )


async def _ways_back(
    page: Page, job_id: UUID, wanted: WantedReferences, found: PageOfReferences, after: int
) -> tuple[int | None, int | None]:
    """Where the previous page begins, and the last one; None where it is the present one, or there is no such way."""
    previous = last = None
    if after >= 0:
        first = found.references[0].position if found.references else None
        previous = await page.edge.references.begin_of_last(job_id, wanted, first, PAGE)
    if found.next is not None:
        last = await page.edge.references.begin_of_last(job_id, wanted, None, PAGE)
    return previous, last


def _cursor(after: int) -> str | None:
    return None if after < 0 else cursor_at(ListOf.REFERENCES, after)


@router.get("/ui/jobs/{job_id}/references.csv")
async def download(request: Request, page: ThePage, _operator: ReadsJobs, job_id: JobId) -> Response:
    return await streamed(page.edge, job_id, _wanted(Filters(request, FIELDS)), -1, "csv")


@router.get("/ui/jobs/{job_id}/references/{position}")
async def look(request: Request, page: ThePage, operator: ReadsJobs, job_id: JobId, position: str) -> Response:
    """Everything of one reference."""
    Filters(request, ())
    at = int(position) if position.isascii() and position.isdigit() and len(position) < 11 else -1
    if not 0 <= at < 2**31:
        raise ApiProblem(400, errors=[Mistake("position", None, "must be the position of a reference, from 0")])
    job = await control.look(operator.caller, page.edge, job_id)
    found = await page.edge.references.page(job_id, WantedReferences(), at - 1, 1)
    if not found.references or found.references[0].position != at:
        raise ApiProblem(404, f"Job {job_id} has no reference at position {at}.")
    return render(
        request,
        page,
        "reference.html",
        operator,
        job=job,
        mark=texts.mark_of(job),
        reference=found.references[0],
        trace_url=page.trace_url,
    )
