"""The audit log: who did what, when; filtered, and as a file."""

from collections.abc import Callable

from fastapi import APIRouter, Request, Response

from app.api.audit.endpoints import refusal, streamed
from app.api.http.problems import ApiProblem
from app.api.shapes.cursors import ListOf, cursor_at, read_number_cursor
from app.api.shapes.moments import moment_of
from app.domain.audit import Act
from app.domain.mistakes import Mistake
from app.evidence.audit_log import AuditFilter, LogDiffers, NotSigned
from app.ui.answers import render
from app.ui.operator import ReadsAudit
from app.ui.page import ThePage
from app.ui.queries import Filters
from app.ui.routes import PageRoute

router = APIRouter(include_in_schema=False, route_class=PageRoute)

FIELDS = ("subject", "who", "what", "since", "cursor")

PAGE = 50

LINKED = {
    "job": ("/ui/jobs/", "backfilljob"),
    "artifact": ("/ui/artifacts/", "artifact"),
    "run": ("/ui/metadata/", "backfilljob"),
}
"""Kinds of subjects that have a view, and what one must be allowed to read to see it."""


def _wanted(filters: Filters) -> AuditFilter:
    """Raises ApiProblem 400."""
    what = filters.choice("what", Act)
    since = filters.text("since")
    try:
        begin = None if since is None else moment_of(since)
    except ValueError as error:
        mistake = Mistake("since", None, str(error))
        raise ApiProblem(400, "The query has mistakes.", errors=[mistake]) from None
    return AuditFilter(filters.text("subject"), filters.text("who"), None if what is None else str(what), begin)


def _before(filters: Filters) -> int | None:
    cursor = filters.text("cursor")
    return None if cursor is None else read_number_cursor(ListOf.AUDIT, cursor)


def view_of(subject: str, may: Callable[[str, str], bool]) -> str | None:
    """The path of the view of what an entry is about; None where there is none, or the roles do not allow it."""
    kind, _, id_ = subject.partition("/")
    path, resource = LINKED.get(kind, ("", ""))
    return path + id_ if path and id_ and may(resource, "read") else None


@router.get("/ui/audit")
async def list_entries(request: Request, page: ThePage, operator: ReadsAudit) -> Response:
    filters = Filters(request, FIELDS)
    found, more = await page.edge.audit_log.page(_wanted(filters), _before(filters), PAGE)
    return render(
        request,
        page,
        "audit.html",
        operator,
        entries=[(each, view_of(each.subject, operator.caller.has)) for each in found],
        acts=list(Act),
        filters=filters,
        filtered=bool(filters.given.keys() - {"cursor"}),
        query=filters.query(cursor=None),
        first=filters.query(cursor=None) if "cursor" in filters.given else None,
        following=filters.query(cursor=cursor_at(ListOf.AUDIT, found[-1].seq)) if more else None,
    )


@router.get("/ui/audit.csv")
async def download(request: Request, page: ThePage, _operator: ReadsAudit) -> Response:
    filters = Filters(request, FIELDS)
    return await streamed(page.edge, _wanted(filters), _before(filters), "csv")


@router.get("/ui/audit/checkpoint")
async def checkpoint(request: Request, page: ThePage, _operator: ReadsAudit) -> Response:
    """The signed head, as a file to be kept."""
    Filters(request, ())
    try:
        note = await page.edge.audit_log.checkpoint()
    except (NotSigned, LogDiffers) as error:
        raise refusal(error) from None
    headers = {"Content-Disposition": 'attachment; filename="audit-checkpoint"'}
    return Response(note, headers=headers, media_type="text/plain; charset=utf-8")
