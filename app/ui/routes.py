"""Routes of the page: what goes wrong is answered as a page too, and who is not logged in is led to the login."""

import logging
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote, urlsplit

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from typing_extensions import override

from app.api.http.problems import ApiProblem, field_path, plain_message
from app.api.http.request_trace import trace_id_of
from app.domain.errors import Unavailable
from app.domain.mistakes import Mistake
from app.ui import texts
from app.ui.addresses import at, inside
from app.ui.answers import headers_of, led_to, render
from app.ui.operator import NotLoggedIn, Operator, operator_of
from app.ui.page import Page

log = logging.getLogger(__name__)

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

BY_SCRIPT = "pas-script"
"""A header of requests that page.js sends: a redirect to the login would be no use to it."""


class PageRoute(APIRoute):
    @override
    def get_route_handler(self) -> Handler:
        answer = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            page: Page = request.app.state.page
            try:
                found = await answer(request)
                found.headers.setdefault("X-Content-Type-Options", "nosniff")  # of files, which the API answers with
                return found
            except NotLoggedIn:
                return _to_login(request, page)
            except ApiProblem as problem:
                return await _said(request, page, problem)
            except RequestValidationError as error:
                mistakes = [
                    Mistake(field_path(each["loc"]), None, plain_message(each["msg"])) for each in error.errors()
                ]
                return await _said(request, page, ApiProblem(400, texts.NOT_VALID, errors=mistakes))
            except HTTPException as error:
                return await _said(request, page, ApiProblem(error.status_code, error.detail))
            except Unavailable as outage:
                return await _said(request, page, ApiProblem(503, texts.away(outage)))
            except Exception as error:
                trace_id = trace_id_of(request)
                log.error("unexpected error", exc_info=error, extra={"trace_id": trace_id, "path": request.url.path})
                return await _said(request, page, ApiProblem(500, texts.unexpected(trace_id)))

        return guarded


def _to_login(request: Request, page: Page) -> Response:
    if BY_SCRIPT in request.headers or "text/html" not in request.headers.get("accept", ""):
        return Response("not logged in", 401, headers_of(page), "text/plain; charset=utf-8")
    if request.method != "GET":
        before = inside(request, _view_before(request))
        return render(request, page, "login.html", status=401, login=page.login, following=before, ended=True)
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    following = "" if here == at(request, "/ui/") else f"?next={quote(here, safe='')}"
    return led_to(request, page, f"/ui/login{following}")


def _view_before(request: Request) -> str:
    """Where the form was that was sent; every form has a view at its own address too."""
    try:
        view = urlsplit(request.headers.get("referer", ""))
    except ValueError:
        view = urlsplit("")
    return f"{view.path}?{view.query}" if view.query else view.path or request.url.path


async def _said(request: Request, page: Page, problem: ApiProblem) -> Response:
    """The problem as a page, with the navigation where somebody is logged in."""
    operator: Operator | None
    try:
        operator = await operator_of(request, page)
    except (NotLoggedIn, Unavailable):
        operator = None
    status = problem.status
    answer = render(
        request,
        page,
        "problem.html",
        operator,
        status=status,
        title=texts.STATUSES.get(status, texts.WENT_WRONG),
        detail=problem.detail or "",
        mistakes=problem.errors,
    )
    for name, value in problem.headers.items():
        if name.lower() != "www-authenticate":
            answer.headers[name] = value
    return answer
