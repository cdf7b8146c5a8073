"""A small, fast HTTP/1.1 server for scripted peers: one function answers each request, also badly when wanted."""

import asyncio
import http
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import httptools
import uvloop
from typing_extensions import override

CHUNK = b"x" * 65536


@dataclass(slots=True)
class Request:
    """`target` is path and query as they were on the wire; names of headers are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Answer:
    """What to send, and how badly; `finished` is called when all is sent or the caller has gone."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay: float = 0
    drop: str = ""
    """`connection`: closed instead of an answer; `body`: closed in the middle of the body."""
    endless: bool = False
    trickle: float = 0
    """Seconds between any two bytes of the body."""
    finished: Callable[[], None] | None = None


class Connection(asyncio.Protocol):
    """One connection; requests on it are answered one after the other."""

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        self._answer = answer
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._current: Answer | None = None
        self._paused = False
        self._start()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    @override
    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._done()

    @override
    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._abort()

    @override
    def pause_writing(self) -> None:
        self._paused = True

    @override
    def resume_writing(self) -> None:
        self._paused = False
        if self._current is not None and self._current.endless:
            self._flood()

    def on_url(self, url: bytes) -> None:
        self._target = url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if "100-continue" in self._headers.get("expect", "") and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode("latin-1")
        request = Request(method, self._target.decode("latin-1"), self._headers, b"".join(self._body))
        self._keep_alive = self._parser.should_keep_alive()
        self._head_only = method == "HEAD"
        self._start()
        answer = self._current = self._answer(request)
        if answer.delay > 0:
            self._timer = asyncio.get_running_loop().call_later(answer.delay, self._send, answer)
        else:
            self._send(answer)

    def _start(self) -> None:
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []

    def _send(self, answer: Answer) -> None:
        transport = self._transport
        if transport is None:
            return
        if answer.drop == "connection":
            self._abort()
        elif answer.endless:
            transport.write(head(answer, {"Transfer-Encoding": "chunked"}))
            self._flood()
        elif answer.drop == "body":
            transport.write(head(answer) + answer.body[: len(answer.body) // 2])
            transport.close()
        elif answer.trickle:
            transport.write(head(answer))
            self._trickle(answer, 0)
        else:
            transport.write(head(answer) if self._head_only else head(answer) + answer.body)
            self._done()
            if not self._keep_alive:
                transport.close()

    def _flood(self) -> None:
        if self._transport is not None and not self._paused:
            self._transport.write(b"%x\r\n%b\r\n" % (len(CHUNK), CHUNK))
            asyncio.get_running_loop().call_soon(self._flood)

    def _trickle(self, answer: Answer, position: int) -> None:
        if self._transport is None:
            return
        self._transport.write(answer.body[position : position + 1])
        if position + 1 < len(answer.body):
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(answer.trickle, self._trickle, answer, position + 1)
        else:
            self._done()

    def _done(self) -> None:
        answer, self._current = self._current, None
        if answer is not None and answer.finished is not None:
            answer.finished()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def head(answer: Answer, more: Mapping[str, str] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, '')}"]
    lines += [f"{name}: {value}" for name, value in answer.headers.items()]
    if more:
        lines += [f"{name}: {value}" for name, value in more.items()]
    elif answer.status != 204 and "Content-Length" not in answer.headers:
        lines.append(f"Content-Length: {len(answer.body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


@asynccontextmanager
async def serving(answer: Callable[[Request], Answer], port: int = 0) -> AsyncIterator[int]:
    """Serves on the loopback port in the running loop; gives the port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(answer), "127.0.0.1", port, backlog=1024)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def serve(answer: Callable[[Request], Answer], port: int) -> None:
    """Serves in a process of its own until SIGTERM."""

    async def until_told() -> None:
        end = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, end.set)
        async with serving(answer, port):
            await end.wait()

    uvloop.run(until_told())


_REASONS = {status.value: status.phrase for status in http.HTTPStatus}
