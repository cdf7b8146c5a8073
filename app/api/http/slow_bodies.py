"""The least speed of a body: the clock runs only while somebody waits for the body."""

import asyncio
from time import monotonic

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

INACTIVE = 30.0
"""Seconds without a byte."""

GRACE = 30.0
"""Seconds that every body has."""

PACE = 16 * 1024
"""Bytes a second beyond: 64 MiB have somewhat more than an hour."""


class BodiesInTime:
    """ASGI middleware: a request whose body stops arriving is answered with 408."""

    def __init__(self, app: ASGIApp, inactive: float = INACTIVE, grace: float = GRACE, pace: float = PACE) -> None:
        self._app = app
        self._inactive = inactive
        self._grace = grace
        self._pace = pace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        size, waited, complete = 0, 0.0, False

        async def paced() -> Message:
            nonlocal size, waited, complete
            if complete:  # whoever asks on waits for the client to go away
                return await receive()
            began = monotonic()
            left = self._grace + size / self._pace - waited
            try:
                async with asyncio.timeout(min(self._inactive, left)):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, "The body came too slowly.", {"Connection": "close"}) from None
            waited += monotonic() - began
            size += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            return message

        await self._app(scope, paced, send)
