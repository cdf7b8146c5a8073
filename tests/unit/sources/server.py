"""A raw HTTP server on loopback that shows the bytes it got and answers exactly the bytes it is told to."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app.domain.archive_types import ArchiveTypeConfiguration
from app.sources.http import SourceClient, open_sources
from app.sources.memory import ByteBudget
from app.sources.oauth import OAuthClientOptions
from app.sources.transport import HttpOptions

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ARCHIVE = {
    "Content-Type": "application/json",
    "Archive-Data-System": "PSF",
    "Archive-Data-Schema": "OsvRecord",
    "Archive-Data-Schema-Version": "1",
}


@dataclass
class Request:
    """`target` and `headers` (names in lower case) as they came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class RawServer:
    port: int = 0
    scheme: str = "http"
    connections: int = 0
    requests: list[Request] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def targets(self) -> list[str]:
        return [request.target for request in self.requests]

    def configuration(self, path: str = "/docs/{id}", oauth: str | None = None) -> ArchiveTypeConfiguration:
        return ArchiveTypeConfiguration("Message", "topic", uri=self.url + path, oauth_client_id=oauth)


@asynccontextmanager
async def serving(
    answer: "Answer | bytes", tls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[RawServer]:
    """Bytes are the answer to everything; a function writes its own and may close the writer."""
    server = RawServer(scheme="https" if tls else "http")
    answering: set[asyncio.Task[None] | None] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        answering.add(asyncio.current_task())
        try:
            while not writer.is_closing():
                request = await _read(reader)
                server.requests.append(request)
                if isinstance(answer, bytes):
                    writer.write(answer)
                else:
                    await answer(request, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            answering.discard(asyncio.current_task())

    listener = await asyncio.start_server(connected, "127.0.0.1", port, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for _ in range(3):  # a connection that was accepted last gets its turn, or nobody would close it
            await asyncio.sleep(0)
        for task in tuple(answering):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *lines = head[:-4].split("\r\n")
    method, target, _ = line.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, target, headers, body)


def answer(
    status: int | str = 200, headers: dict[str, str] | None = None, body: bytes = b"{}", *, length: int | None = None
) -> bytes:
    """An answer with a Content-Length."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body) if length is None else length}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def document(body: bytes = b"{}", **headers: str) -> bytes:
    """A good answer; underscores in header names stand for hyphens, an empty value leaves a header out."""
    named = ARCHIVE | {name.replace("_", "-"): value for name, value in headers.items()}
    return answer(200, {name: value for name, value in named.items() if value}, body)


def chunked(*chunks: bytes, **headers: str) -> bytes:
    """A good answer of unknown length, its last chunk included."""
    head = "".join(f"{name}: {value}\r\n" for name, value in (ARCHIVE | headers).items()).encode()
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + head + b"\r\n" + body


@asynccontextmanager
async def sources(
    *oauth: OAuthClientOptions,
    timeout: float = 2.0,
    total_timeout: float = 5.0,
    max_response_size: int = 1024 * 1024,
    slots: int = 64,
    max_bytes_in_flight: int = 64 * 1024 * 1024,
) -> AsyncIterator[SourceClient]:
    options = HttpOptions(timeout, total_timeout, max_response_size)
    async with open_sources(options, oauth, slots=slots, budget=ByteBudget(max_bytes_in_flight)) as client:
        yield client
