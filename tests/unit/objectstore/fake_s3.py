"""An S3 that answers as a test says."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from aiohttp import web

from app.objectstore import PROBE_KEY
from app.objectstore.s3 import S3Options
from tests.unit.objectstore.fake_promises import FakePromises

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeS3:
    """A server that answers as a test says, and keeps what it was asked; but for the object that it is tried with."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.answer: Answer = self.stored
        self.promises = FakePromises()
        """Answers for the object that the store is tried with before the first put."""
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if PROBE_KEY in request.path:
            return self.promises.answer(request, await request.read())
        self.requests.append(request)
        self.bodies.append(await request.read())
        return await self.answer(request)

    async def stored(self, request: web.Request) -> web.Response:
        checksum = request.headers.get("x-amz-checksum-sha256", "")
        return web.Response(headers={"x-amz-version-id": "v-1", "ETag": '"e-1"', "x-amz-checksum-sha256": checksum})

    def says(self, status: int, code: str = "", headers: dict[str, str] | None = None) -> None:
        async def answer(_: web.Request) -> web.Response:
            text = f"<Error><Code>{code}</Code><Message>m</Message></Error>" if code else ""
            return web.Response(status=status, text=text, headers=headers)

        self.answer = answer


def options_of(fake: FakeS3, **changes: Any) -> S3Options:
    return replace(S3Options(access_url=fake.url, access_key="AK", secret_key="SECRET-KEY"), **changes)
