"""Who looks at the page: from the cookie to the session, from its token to the caller and the roles."""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated

from fastapi import Depends, Request

from app.api.auth.callers import Caller
from app.api.http.problems import ApiProblem
from app.ui.cookies import session_key
from app.ui.page import Page, ThePage


class NotLoggedIn(Exception):
    """There is no session, or it has ended."""


@dataclass(frozen=True, slots=True)
class Operator:
    """`forgery_token` must come with every form: another site does not know it."""

    caller: Caller
    key: str
    forgery_token: str


async def operator_of(request: Request, page: ThePage) -> Operator:
    """Raises NotLoggedIn, Unavailable."""
    key = session_key(request)
    tokens = None if key is None else await page.sessions.find(key, page.login.renew)
    if key is None or tokens is None:
        raise NotLoggedIn
    try:
        caller = await page.edge.authenticator.caller([f"Bearer {tokens.access}"])
    except ApiProblem as refused:
        raise NotLoggedIn from refused
    return Operator(caller, key, forgery_token(key))


AnOperator = Annotated[Operator, Depends(operator_of)]
"""Somebody who is logged in, whatever the roles."""


def forgery_token(key: str) -> str:
    return hmac.new(key.encode(), b"forms of the page", sha256).hexdigest()


def allowed(resource: str, operation: str) -> Callable[..., Awaitable[Operator]]:
    """A dependency that gives the Operator when it has the role."""

    async def operator(page: ThePage, operator: AnOperator) -> Operator:
        check(page, operator, resource, operation)
        return operator

    return operator


def check(page: Page, operator: Operator, resource: str, operation: str) -> None:
    """Raises ApiProblem 403."""
    page.edge.authenticator.check(operator.caller, resource, operation)


ReadsJobs = Annotated[Operator, Depends(allowed("backfilljob", "read"))]
WritesJobs = Annotated[Operator, Depends(allowed("backfilljob", "write"))]
ReadsArtifacts = Annotated[Operator, Depends(allowed("artifact", "read"))]
ReadsAudit = Annotated[Operator, Depends(allowed("audit", "read"))]
