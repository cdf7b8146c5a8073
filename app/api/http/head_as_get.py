"""HEAD for every GET: the same answer, without its body."""

from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class _Answered(Exception):
    """The head of the answer is sent; the rest need not be made."""


class HeadAsGet:
    """ASGI middleware, in front of all others."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def head_only(message: Message) -> None:
            if message["type"] == "http.response.body":
                await send({"type": "http.response.body", "body": b""})
                raise _Answered
            await send(message)

        with suppress(_Answered):
            await self._app({**scope, "method": "GET"}, receive, head_only)
