"""The endpoints of login and logout; by one click, or at an issuer (code_flow.py)."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from app.api.http.problems import ApiProblem
from app.ui.addresses import address_of, from_loopback, inside, on_loopback
from app.ui.answers import headers_of, led_to, render
from app.ui.cookies import (
    forget_login_state,
    forget_session,
    keep_login_state,
    keep_session,
    login_state,
    session_key,
)
from app.ui.forms import read_form, refuse_other_sites
from app.ui.login.code_flow import CodeFlow
from app.ui.login.embedded import EmbeddedLogin
from app.ui.login.issuer import LoginRefused
from app.ui.operator import NotLoggedIn, operator_of
from app.ui.page import Page, ThePage
from app.ui.routes import PageRoute

router = APIRouter(include_in_schema=False, route_class=PageRoute)

NOT_HERE = "The embedded service lets people in on this machine only: open its page as http://127.0.0.1 or localhost."


@router.get("/ui/login")
async def look(request: Request, page: ThePage) -> Response:
    following = inside(request, request.query_params.get("next"))
    return render(request, page, "login.html", login=page.login, following=following, ended=False)


@router.post("/ui/login")
async def one_click(request: Request, page: ThePage) -> Response:
    """In the embedded mode only, on loopback only."""
    login = page.login
    if not isinstance(login, EmbeddedLogin):
        raise ApiProblem(404, "One logs in at the issuer.")
    refuse_other_sites(request)
    if not (on_loopback(request) and from_loopback(request)):
        raise ApiProblem(403, NOT_HERE)
    key = await page.sessions.begin(login.tokens())
    answer = RedirectResponse(inside(request, request.query_params.get("next")), 303, headers_of(page))
    keep_session(request, answer, key)
    return answer


@router.get("/ui/login/start")
async def begin(request: Request, page: ThePage) -> Response:
    """Leads to the issuer."""
    flow = _flow(page)
    address = f"{address_of(request, page.address)}/ui/login/done"
    place, sealed = await flow.begin(address, inside(request, request.query_params.get("next")))
    answer = RedirectResponse(place, 303, headers_of(page))
    keep_login_state(request, answer, sealed)
    return answer


@router.get("/ui/login/done")
async def done(request: Request, page: ThePage) -> Response:
    """The issuer leads here. The session gets a key of its own, whatever the browser had before."""
    flow = _flow(page)
    try:
        tokens, following = await flow.end(login_state(request), dict(request.query_params))
    except LoginRefused as refused:
        raise ApiProblem(403, f"The login did not succeed: {refused}.") from refused
    try:
        await page.edge.authenticator.caller([f"Bearer {tokens.access}"])
    except ApiProblem as problem:
        raise ApiProblem(403, f"{page.login.name} let you in, but this service does not: {problem.detail}") from problem
    if (before := session_key(request)) is not None:
        await page.sessions.end(before)
    key = await page.sessions.begin(tokens)
    answer = RedirectResponse(inside(request, following), 303, headers_of(page))
    keep_session(request, answer, key)
    forget_login_state(request, answer)
    return answer


def _flow(page: Page) -> CodeFlow:
    if not isinstance(page.login, CodeFlow):
        raise ApiProblem(404, "The embedded service has no issuer to log in at.")
    return page.login


@router.post("/ui/logout")
async def log_out(request: Request, page: ThePage) -> Response:
    """Ends the session, here and, where one logged in at an issuer, there."""
    try:
        operator = await operator_of(request, page)
    except NotLoggedIn:
        operator = None
    if operator is not None:
        await read_form(request, operator)
    else:
        refuse_other_sites(request)
    answer = await _ended(request, page, session_key(request))
    forget_session(request, answer)
    return answer


async def _ended(request: Request, page: Page, key: str | None) -> Response:
    tokens = None if key is None else await page.sessions.end(key)
    if isinstance(page.login, CodeFlow):
        back = f"{address_of(request, page.address)}/ui/login"
        place = await page.login.end_session(tokens, back)
        if place is not None:
            return RedirectResponse(place, 303, headers_of(page))
    return led_to(request, page, "/ui/login")
