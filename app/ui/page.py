"""What the views need: the edge of the API, the sessions, and the way to log in; one typed value, made at the start."""

from dataclasses import dataclass
from typing import Annotated, Protocol

from fastapi import Depends, FastAPI, Request

from app.api.edge import Edge
from app.jobs.minutes import JobMinutes
from app.sessions.store import Sessions, SessionTokens
from app.system.source_limits import SourceLimits


class LoginWay(Protocol):
    """How one logs in: by one click as the developer, or at an issuer."""

    @property
    def one_click(self) -> bool: ...

    @property
    def name(self) -> str:
        """Of the issuer, for people."""
        ...

    @property
    def form_targets(self) -> tuple[str, ...]:
        """Origins to which the answer to a form may lead: the issuer, at the logout."""
        ...

    async def renew(self, tokens: SessionTokens) -> SessionTokens | None:
        """Other tokens; None where one has to log in again. Raises Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Page:
    edge: Edge
    sessions: Sessions
    login: LoginWay
    minutes: JobMinutes
    limits: SourceLimits
    release: str
    trace_url: str | None = None
    """Address of a trace, with `{traceId}`."""
    address: str | None = None
    """Where browsers find the service; None: where they say that they found it."""


def put_page(app: FastAPI, page: Page) -> None:
    """Gives `app` the page that its views get."""
    app.state.page = page


async def page_of(request: Request) -> Page:
    page: Page = request.app.state.page
    return page


ThePage = Annotated[Page, Depends(page_of)]
