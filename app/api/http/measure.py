"""Counts and times every request by route, for the metrics; ends requests that are cut off when the service stops."""

import asyncio
import logging
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.http.problems import answer_with, try_later
from app.domain.errors import Unavailable
from app.metadata.content import AlteredContent
from app.telemetry import metrics

log = logging.getLogger(__name__)


class Measured:
    """ASGI middleware. The label is the route template: with ids each request would make a new series."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        began = False
        started = perf_counter()

        async def noting(message: Message) -> None:
            nonlocal status, began
            if message["type"] == "http.response.start":
                status, began = message["status"], True
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except asyncio.CancelledError:
            # Only a stop cancels requests. What has begun breaks off, so that nobody takes it for complete.
            log.warning("%s %s was cut off: the service stops", scope["method"], scope["path"])
            if not began:
                stopping = try_later("The service stops; send the same again.", close=True)
                await answer_with(stopping)(scope, receive, noting)
        except (AlteredContent, Unavailable) as error:
            if not began:
                raise
            # The server closes the connection of an answer that is not complete.
            log.warning("%s %s was broken off: %s", scope["method"], scope["path"], error)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            metrics.HTTP_REQUESTS.labels(scope["method"], route, status).observe(perf_counter() - started)
