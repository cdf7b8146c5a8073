"""The list of jobs, and the stream that says when it has changed."""

from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from app.api.http.event_streams import Followed
from app.api.jobs.models import JobView
from app.api.shapes.cursors import ListOf, read_started_cursor, started_cursor
from app.domain.jobs import JobFilter, JobKind, JobResult, JobState
from app.domain.waiting import WaitingFor
from app.jobs.control import JobStatus
from app.ui import texts
from app.ui.answers import render
from app.ui.operator import ReadsJobs
from app.ui.page import Page, ThePage
from app.ui.queries import Filters
from app.ui.routes import PageRoute

router = APIRouter(include_in_schema=False, route_class=PageRoute)

FIELDS = ("state", "result", "message", "kind", "startedBy", "waiting", "cursor")

PAGE = 50
"""Jobs of one page."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of the list; `key` says which."""

    key: str
    views: Sequence[JobStatus]
    more: bool


def _news(listed: Listed) -> tuple[object, ...]:
    return tuple((view.job, view.without_data, view.rate == 0) for view in listed.views)


LIST: Followed[Listed] = Followed(
    key=lambda listed: listed.key,
    state=lambda _listed: "list",
    ended="",
    data=lambda _listed: "changed",
    news=_news,
)


async def _listed(page: Page, filters: Filters) -> Listed:
    waiting = filters.given.get("waiting")
    wanted = JobFilter(
        state=filters.choice("state", JobState),
        result=filters.choice("result", JobResult),
        message=filters.text("message"),
        kind=filters.choice("kind", JobKind),
        started_by=filters.text("startedBy"),
        waiting={"true": True, "false": False}[waiting]
        if waiting in ("true", "false")
        else filters.choice("waiting", WaitingFor),
    )
    views, more = await page.edge.job_control.page(
        read_started_cursor(ListOf.JOBS, filters.text("cursor")), PAGE, wanted
    )
    return Listed(f"jobs{filters.query()}", views, more)


@router.get("/ui/jobs")
async def list_jobs(request: Request, page: ThePage, operator: ReadsJobs) -> Response:
    filters = Filters(request, FIELDS)
    found = await _listed(page, filters)
    last = found.views[-1].job if found.more else None
    return render(
        request,
        page,
        "jobs.html",
        operator,
        jobs=[(job, texts.mark_of(job)) for job in map(JobView.of, found.views)],
        filters=filters,
        query=filters.query(),
        filtered=bool(filters.given.keys() - {"cursor"}),
        first=filters.query(cursor=None) if "cursor" in filters.given else None,
        following=None if last is None else filters.query(cursor=started_cursor(ListOf.JOBS, last.started, last.id)),
    )


@router.get("/ui/jobs/events")
async def follow_list(request: Request, page: ThePage, operator: ReadsJobs) -> Response:
    filters = Filters(request, FIELDS)

    async def look() -> Listed:
        return await _listed(page, filters)

    return page.edge.event_streams.answer(LIST, await look(), look, None, operator.caller.expires)
