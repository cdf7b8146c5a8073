"""How many bodies are read at once, how much of them is in memory, and how slowly one may come."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.responses import StreamingResponse
from starlette.types import Message

from app.api.http import problems
from app.api.http.bodies import Uploads
from app.api.http.head_as_get import HeadAsGet
from app.api.http.problems import ApiProblem
from app.api.http.slow_bodies import BodiesInTime

YAML = ["application/yaml"]


def request(*chunks: bytes, announced: int | None = None) -> Request:
    headers = [(b"content-type", b"application/yaml")]
    if announced is not None:
        headers.append((b"content-length", b"%d" % announced))
    messages = iter([*chunks, None])

    async def receive() -> Message:
        chunk = next(messages)
        return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

    return Request({"type": "http", "method": "PUT", "headers": headers}, receive)


async def status(uploads: Uploads, asked: Request) -> int:
    try:
        async with uploads.body(asked, YAML):
            return 200
    except ApiProblem as problem:
        return problem.status if problem.status != 503 or problem.headers == {"Retry-After": "5"} else 0


async def test_more_than_may_be_read_at_once_are_told_to_come_again() -> None:
    uploads = Uploads(100, at_once=2, patience=0.01)
    async with uploads.body(request(b"a"), YAML) as one, uploads.body(request(b"b"), YAML) as two:
        assert (bytes(one), bytes(two)) == (b"a", b"b")
        assert await status(uploads, request(b"c")) == 503
    assert await status(uploads, request(b"c")) == 200


async def test_a_turn_that_comes_in_time_is_waited_for() -> None:
    uploads = Uploads(100, at_once=1, patience=10)
    async with uploads.body(request(b"a"), YAML):
        waiting = asyncio.create_task(status(uploads, request(b"b")))
        await asyncio.sleep(0)
    assert await waiting == 200


async def test_only_so_many_wait() -> None:
    uploads = Uploads(100, at_once=1, waiting=1, patience=10)
    async with uploads.body(request(b"a"), YAML):
        waiting = asyncio.create_task(status(uploads, request(b"b")))
        await asyncio.sleep(0)
        assert await status(uploads, request(b"c")) == 503
    assert await waiting == 200


async def test_what_is_announced_is_set_aside_before_anything_is_read() -> None:
    uploads = Uploads(100)
    async with AsyncExitStack() as stack:
        for _ in range(4):
            await stack.enter_async_context(uploads.body(request(b"a", announced=100), YAML))
        assert await status(uploads, request(announced=1)) == 503  # no receive: `next` would raise
    assert await status(uploads, request(b"a", announced=100)) == 200


async def test_what_is_not_announced_counts_as_it_comes() -> None:
    uploads = Uploads(100)
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(uploads.body(request(b"a" * 99), YAML))
        assert await status(uploads, request(b"a" * 60, b"b" * 40)) == 200
        assert await status(uploads, request(b"a" * 60, b"b" * 41)) == 413
        await stack.enter_async_context(uploads.body(request(b"a" * 60), YAML))
        assert await status(uploads, request(b"a" * 40, b"b" * 40)) == 503
    for _ in range(3):
        assert await status(uploads, request(b"a" * 100)) == 200


@pytest.mark.parametrize("announced", [101, 10**30])
async def test_too_large_is_said_before_a_turn_is_asked_for(announced: int) -> None:
    uploads = Uploads(100, at_once=1, waiting=0)
    async with uploads.body(request(b"a"), YAML):
        assert await status(uploads, request(announced=announced)) == 413


# --- pace


def paced_app(**limits: float) -> FastAPI:
    app = FastAPI()
    problems.install(app)
    app.add_middleware(BodiesInTime, **limits)

    @app.put("/body")
    async def body(request: Request) -> int:
        return len(await request.body())

    return app


async def put(app: FastAPI, content: AsyncIterator[bytes]) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pas") as client:
        return await client.put("/body", content=content)


async def chunks(*parts: bytes, then_nothing: bool = False) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if then_nothing:
        await asyncio.Event().wait()


async def test_a_body_that_stops_coming_is_408() -> None:
    answer = await put(paced_app(inactive=0.01), chunks(b"begin", then_nothing=True))
    assert (answer.status_code, answer.headers["Connection"]) == (408, "close")
    assert answer.json()["detail"] == "The body came too slowly."


async def test_a_body_that_comes_too_slowly_as_a_whole_is_408() -> None:
    answer = await put(paced_app(grace=0.01, pace=1e9), chunks(b"begin", then_nothing=True))
    assert answer.status_code == 408


async def test_a_body_at_a_good_pace_is_read() -> None:
    answer = await put(paced_app(), chunks(b"a" * 10, b"b" * 10))
    assert answer.json() == 20


# --- HEAD


async def head(app: Any, path: str) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pas") as client:
        return await client.head(path)


async def test_head_makes_only_the_head_of_a_stream() -> None:
    made: list[int] = []
    app = FastAPI()
    problems.install(app)

    def numbers() -> Iterator[bytes]:
        for number in range(100_000):
            made.append(number)
            yield b"x"

    @app.get("/stream")
    async def stream() -> Any:
        return StreamingResponse(numbers(), media_type="text/plain")

    answer = await head(HeadAsGet(app), "/stream")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert len(made) < 10
    assert (await head(HeadAsGet(app), "/nowhere")).status_code == 404
