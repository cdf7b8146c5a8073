"""Counts and times every request by route, for the metrics; refuses work while the service stops."""

from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.telemetry import metrics


class Measured:
    """ASGI middleware. The route template is the label: ids would make a new series each."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        started = perf_counter()

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            metrics.HTTP_REQUESTS.labels(scope["method"], route, status).observe(perf_counter() - started)
