"""The protocol of one connection: an answer belongs to the request before it, or the connection is closed.

aiohttp queues whatever a server sends: bytes that arrive while no request is running become the answer to the next
request. It has no setting against that, so its `ResponseHandler` is extended here and its pool in `connections`. These
are the private parts that both rest on (`tests/unit/outgoing/test_private_parts.py` fails when they change,
`pyproject.toml` bounds the release):

- `ResponseHandler`: `data_received` gives all bytes to a parser and every message to `feed_data((message, body))`;
  `set_response_params` is called once before each request; `_should_close`, `_exception`, `_reading_paused`;
- `BaseConnector`: `_factory`, `_conns[key]` (protocol and time of release, the oldest first), `_keepalive_timeout`,
  `_get`, `_release`, `_create_connection`.
"""

import asyncio
import re
import select
from collections.abc import Callable
from enum import Enum
from typing import Any

from aiohttp import ClientPayloadError, StreamReader
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage
from aiohttp.http_exceptions import HttpProcessingError
from typing_extensions import override

LARGEST_HEAD = 64 * 1024
"""Bytes of the status line and all headers of an answer, informational ones before it included."""

LARGEST_SILENCE = 64 * 1024
"""Bytes in a row inside a body that are no content: trailers and extensions of chunks, which aiohttp would collect."""

ONE_BOUND = {"max_line_size": LARGEST_HEAD, "max_field_size": LARGEST_HEAD, "max_headers": LARGEST_HEAD}
"""In the place of aiohttp's bounds of each line and of the number of headers: the guard bounds the sum of all."""

HEAD_END = re.compile(rb"\n\r?\n")
BEHIND_CHUNKS = re.compile(rb"\n\r?\n[\r\n]+\Z")
"""Blank lines behind the last chunk: the parser passes over them without a word."""


class TooLarge(HttpProcessingError):
    """The head of an answer, or what stands between its chunks, is larger than is read."""


class NotHttp(ClientPayloadError):
    """The body is not framed as HTTP says; the cause is what the parser raised."""


class AnswerState(Enum):
    """IDLE: no request is running. HEAD: a request was sent, no final status yet. BODY: the body of the final
    answer."""

    IDLE = 0
    HEAD = 1
    BODY = 2


class GuardedHandler(ResponseHandler):
    """`spoiled`: bytes arrived that no request had asked for; `on_unasked` is then called, if it is set already."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.spoiled = False
        self.on_unasked: Callable[[], None] | None = None
        self._second = False
        self._state = AnswerState.IDLE
        self._answer: StreamReader | None = None
        self._chunked = False
        self._head = self._body = self._silence = self._content = 0
        self._seam = b""
        self._poll: select.poll | None = None

    @override
    def set_response_params(self, **parameters: Any) -> None:
        """A request goes out now: the next answer is its own. Whatever its session says, the head is bounded by its sum
        alone: an object of the store has as many headers as its source gave it."""
        self._state, self._answer = AnswerState.HEAD, None
        self._head = self._body = self._silence = self._content = 0
        self._seam = b""
        parameters.update(ONE_BOUND)
        super().set_response_params(**parameters)

    @override
    def data_received(self, data: bytes) -> None:
        if not data:  # the reader goes on; what the parser still holds
            super().data_received(data)
            self._settle(data)
            return
        if self._state is AnswerState.HEAD:
            data = self._head_received(data)
        if not data:
            return
        if self._state is AnswerState.BODY:
            self._body += len(data)
            super().data_received(data)
            self._settle(data)
        elif self._state is AnswerState.IDLE:
            self._spoil()

    @override
    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """Called by the parser's loop with each message; a second one to a request is not passed on."""
        if self._state is not AnswerState.HEAD:
            self._second = True
            return
        code = data[0].code
        if code >= 200 or code == 101:
            self._state, self._answer, self._chunked = AnswerState.BODY, data[1], data[0].chunked
        super().feed_data(data, size)

    def readable(self) -> bool:
        """Whether bytes, or the end of the connection, have come that the event loop did not look at yet."""
        if self.transport is None:
            return True
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(self._poll.poll(0))

    def _head_received(self, data: bytes) -> bytes:
        """Gives the parser the head alone, so that it reports the answer before it reads bytes that may not belong to
        it; returns the bytes after the head."""
        while data and self._state is AnswerState.HEAD:
            found = HEAD_END.search(self._seam + data)
            end = found.end() - len(self._seam) if found else len(data)
            piece, data = data[:end], data[end:]
            self._seam = b"" if found else (self._seam + piece)[-2:]
            self._head += len(piece)
            if self._head > LARGEST_HEAD:
                self._refuse(TooLarge(message="headers"))
                return b""
            super().data_received(piece)
            if self._state is AnswerState.HEAD and self._exception is not None:
                return b""
        self._settle(b"")
        return data

    def _settle(self, data: bytes) -> None:
        """Determines the state from what the parser made of the last bytes."""
        answer = self._answer
        if answer is None:
            return
        error = self._exception
        if answer.is_eof():
            self._state = AnswerState.IDLE
            longer = BEHIND_CHUNKS.search(data[-8:]) if self._chunked else self._body > answer.total_bytes
            if longer or self._second or isinstance(error, HttpProcessingError):
                self._spoil()
        elif isinstance(error, HttpProcessingError):
            answer.set_exception(_of_body(error))
        elif data and not self._reading_paused:
            self._silence = 0 if answer.total_bytes > self._content else self._silence + len(data)
            self._content = answer.total_bytes
            if self._silence > LARGEST_SILENCE:
                self._refuse(TooLarge(message="chunks"))

    def _refuse(self, error: HttpProcessingError) -> None:
        """Ends an answer that is not over."""
        if self.transport is not None:
            self.transport.close()
        self.set_exception(error)
        if self._answer is not None:
            self._answer.set_exception(_of_body(error))

    def _spoil(self) -> None:
        """Closes the connection at once. A complete answer stays valid; nothing after it is read."""
        self._should_close = True
        if not self.spoiled:
            self.spoiled = True
            if self.on_unasked is not None:
                self.on_unasked()
        self.close()


def _of_body(error: HttpProcessingError) -> NotHttp:
    failure = NotHttp()
    failure.__cause__ = error
    return failure
