"""HTTP/1.1 in uvicorn with limits: for one connection, and for the number of connections."""

import asyncio
import logging
import sys
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.api.http.problems import answer_with, problem, try_later
from app.telemetry import metrics

MAX_HEAD = 64 * 1024
"""Bytes of a request line with its headers, or of trailers. The parser takes any number, in quadratic time: 100 MB of
one header, which need no token, would keep the event loop busy for half a minute."""

PIPELINED = 10
"""Requests of one connection that wait for their answers. One read of the socket brings thousands of small ones, and
each costs a hundred times its bytes; those beyond are not read, and the connection is closed behind the answers."""

OPEN = ("/health/live", "/health/ready", "/metrics")
"""Paths that are answered beyond the limit of connections too: monitoring must go on, above all then."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits for clients: connections in all, seconds, bytes."""

    connections: int = 1_000
    """With one more, the connection that has been without a request for longest is closed."""
    head: float = 10.0
    """For a complete request head, from the connection or from its first byte."""
    stalled: float = 60.0
    """Without taking what is to be sent (64 KiB and more are waiting)."""
    linger: float = 2.0
    linger_bytes: int = 1024 * 1024
    """Limits for the rest of a body that is not used: it is read and discarded, so that a client which still sends gets
    the answer."""


class BoundedHttp(HttpToolsProtocol):
    """One connection. Bodies have their own clock (`slow_bodies.py`): it runs only while somebody waits for them."""

    limits: ClassVar[Limits]
    waiting: ClassVar["dict[BoundedHttp, None]"]
    """Connections without a request, the longest waiting first."""

    _since = 0
    """Bytes since the parser last got anywhere; one read of the socket more may pass the limit."""
    _begun = False
    _in_message = False
    _over = False
    _deaf = False
    """What comes is no longer read; the last answer that is due closes the connection."""
    _lingering: int | None = None
    """Bytes read over since the last answer was sent; None while all is well."""
    _stopping = False
    _head_timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None

    # --- connections

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._due: deque[RequestResponseCycle] = deque()
        """Requests whose answers are due, in their order."""

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.waiting[self] = None
        self._await_head()
        if len(self.connections) > self.limits.connections:
            oldest = next(iter(self.waiting))
            self._over = oldest is self
            if not self._over:
                oldest._drop("too many")

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.waiting.pop(self, None)
        for timer in (self._head_timer, self._stall_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    @override
    def shutdown(self) -> None:
        self._stopping = True
        super().shutdown()

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._stall_timer = self.loop.call_later(self.limits.stalled, self._stalled)

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall_timer is not None:
            self._stall_timer.cancel()

    def _stalled(self) -> None:
        metrics.CONNECTIONS_CLOSED.labels("reads nothing").inc()
        self.transport.abort()

    def _drop(self, reason: str) -> None:
        self.waiting.pop(self, None)
        metrics.CONNECTIONS_CLOSED.labels(reason).inc()
        self.transport.close()

    # --- heads

    @override
    def data_received(self, data: bytes) -> None:
        if self._lingering is not None:
            self._lingering += len(data)
            if self._lingering > self.limits.linger_bytes:
                self.transport.close()
            return
        if self._deaf:
            return
        if not self._in_message:
            self._await_head()
        self._since += len(data)
        super().data_received(data)
        if self._since > MAX_HEAD and not self._deaf and not self.transport.is_closing():
            self._read_no_more(431, "Request Header Fields Too Large", f"At most {MAX_HEAD} bytes of headers are read.")
            metrics.CONNECTIONS_CLOSED.labels("head too large").inc()

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun = True
        self._await_head()

    @override
    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_message:  # trailers are no headers: what they say comes too late to be decided by
            super().on_header(name, value)

    @override
    def on_headers_complete(self) -> None:
        self._since = 0
        self._begun = False
        if len(self._due) >= PIPELINED:
            metrics.CONNECTIONS_CLOSED.labels("too many at once").inc()
            raise _TooManyAtOnce
        self._in_message = True
        self.waiting.pop(self, None)
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        super().on_headers_complete()
        self._due.append(self.cycle)

    @override
    def on_body(self, body: bytes) -> None:
        self._since = 0
        super().on_body(body)

    @override
    def on_message_complete(self) -> None:
        self._since = 0
        self._in_message = False
        super().on_message_complete()

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.limits.head, self._head_late)

    def _head_late(self) -> None:
        self._head_timer = None
        if self.transport.is_closing() or self._lingering is not None:
            return
        if self._due:  # it waits for our answer, and may send as slowly meanwhile as it likes
            self._await_head()
        elif self._begun:
            self._refuse(408, "Request Timeout", f"The head of the request took longer than {self.limits.head:g} s.")
            metrics.CONNECTIONS_CLOSED.labels("head too slow").inc()
        else:
            self._drop("head too slow")

    @override
    def send_400_response(self, msg: str) -> None:
        if "Content-Length overflow" in str(sys.exception()):  # beyond 64 bits: more than any limit
            self._read_no_more(413, "Content Too Large", "The body is larger than any that is read; send less at once.")
        else:
            self._read_no_more(400, "Bad Request", msg)

    def _read_no_more(self, status: int, title: str, detail: str) -> None:
        """Stops reading: the bytes cannot be parsed. Earlier requests are answered first; an incomplete one gets this
        answer."""
        self._deaf = True
        due = list(self._due)
        if self._in_message and due and not due[-1].response_started:
            broken = due.pop()
            broken.disconnected = True  # what its application says is not sent
            broken.message_event.set()
        if due:
            due[-1].keep_alive = False
        else:
            self._refuse(status, title, detail)

    def _refuse(self, status: int, title: str, detail: str) -> None:
        answer = problem(status, title, detail, headers={"Connection": "close"})
        head = [f"HTTP/1.1 {status} {title}".encode(), *(b"%b: %b" % header for header in answer.raw_headers)]
        self.transport.write(b"\r\n".join([*head, b"", bytes(answer.body)]))
        self._linger()

    # --- answers

    @override
    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self._over:
            cycle.keep_alive = False
            if not cycle.scope["path"].endswith(OPEN):
                app = _full
        super()._start_asgi_task(cycle, partial(self._run, cycle, app))

    async def _run(self, cycle: RequestResponseCycle, app: Any, scope: Any, receive: Any, send: Any) -> None:
        async def answering(message: Any) -> None:
            if message["type"] == "http.response.start" and cycle.more_body:
                # Nobody will read the rest of the body: the answer closes the connection.
                cycle.keep_alive = False
                cycle.transport = _Lingering(self)  # type: ignore[assignment]
            await send(message)

        await app(scope, receive, answering)
        if self._stopping and cycle.response_started and not cycle.response_complete:
            cycle.disconnected = True  # it was cut off, which uvicorn would call an error of ours
            self.transport.abort()

    @override
    def on_response_complete(self) -> None:
        if self._due:
            self._due.popleft()
        if self._lingering is not None:
            self.server_state.total_requests += 1
            return
        super().on_response_complete()
        if not self._due and not self.transport.is_closing():
            self.waiting[self] = None

    def _linger(self) -> None:
        """Ends our side, and reads and discards the rest: an immediate close would discard the answer on its way."""
        if self._lingering is not None or self.transport.is_closing():
            return
        self._lingering = 0
        self.flow.resume_reading()
        self.transport.write_eof()
        self.loop.call_later(0.1 if self._stopping else self.limits.linger, self.transport.close)


class _TooManyAtOnce(Exception):
    """Ends the parsing of what was read."""


class _Lingering:
    """The transport of an answer to a request that was not read to its end."""

    def __init__(self, protocol: BoundedHttp) -> None:
        self._protocol = protocol

    def __getattr__(self, name: str) -> Any:
        return getattr(self._protocol.transport, name)

    def close(self) -> None:
        self._protocol._linger()


async def _full(scope: Any, receive: Any, send: Any) -> None:
    metrics.CONNECTIONS_CLOSED.labels("too many").inc()
    full = try_later("Too many connections; send the same again.", close=True)
    await answer_with(full)(scope, receive, send)


def bounded_http(limits: Limits | None = None) -> type[BoundedHttp]:
    """The protocol of one server: it counts the connections of that server only."""

    class CountedHttp(BoundedHttp):
        pass

    CountedHttp.limits, CountedHttp.waiting = limits or Limits(), {}
    return CountedHttp
