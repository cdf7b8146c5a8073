"""Server-sent events: a full snapshot of one job whenever the job has changed."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fastapi import Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from app.api.http.problems import try_later
from app.domain.errors import Unavailable
from app.domain.json_lines import on_one_line
from app.domain.readiness import Readiness

V = TypeVar("V")

PAUSE = 1.0
"""Seconds between two look-ups of a followed job."""

SHARE = 10
"""A pause is at least so many times as long as the look-up before it: to count a million references without data takes
time."""

STILL_HERE = 15.0
"""Seconds without an event after which a comment is sent, so that no proxy closes the connection as dead."""

MOST = 100
"""Streams at the same time: each may follow another job, with one query a second."""

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""The second one keeps proxies from gathering events."""


class Vanished(Exception):
    """The followed thing no longer exists."""


@dataclass(frozen=True, slots=True)
class Followed(Generic[V]):
    """How one kind of thing is followed.

    `key` identifies the thing of a snapshot. `state` is the id of its events, a word without blanks and line ends, and
    `ended` is the state after which no events follow. `data` is the JSON of an event; `news` is the part that must
    differ for a new event. `look` raises Vanished, Unavailable.
    """

    key: Callable[[V], Hashable]
    state: Callable[[V], str]
    ended: str
    data: Callable[[V], str]
    news: Callable[[V], object]


class EventStreams:
    """`pause` and `still_here` are in seconds; `open` is the number of open streams."""

    def __init__(self, readiness: Readiness, *, pause: float = PAUSE, still_here: float = STILL_HERE) -> None:
        self._readiness = readiness
        self._pause = pause
        self._still_here = still_here
        self.open = 0
        self._look_ups: dict[Hashable, asyncio.Future[Any]] = {}

    def answer(
        self,
        followed: Followed[V],
        first: V,
        look: Callable[[], Awaitable[V]],
        last_event_id: str | None,
        expires: float,
    ) -> Response:
        """Begins with the snapshot `first`; `expires` is the end of the token, in seconds since the epoch.

        A 204 tells a browser that connects again to stop: the id of its last event says that the job has ended. Raises
        ApiProblem 503 when too many streams are open.
        """
        if followed.state(first) == followed.ended == last_event_id:
            return Response(status_code=204)
        if self.open >= MOST:
            raise try_later(f"{MOST} streams are open already; look at it instead.")
        return _Stream(self, self._events(followed, first, look, expires))

    async def _events(
        self, followed: Followed[V], view: V, look: Callable[[], Awaitable[V]], expires: float
    ) -> AsyncIterator[bytes]:
        def event() -> bytes:
            data = on_one_line(followed.data(view).encode())
            return f"id: {followed.state(view)}\n".encode() + b"data: " + data + b"\n\n"

        yield event()
        last_news, sent_at = followed.news(view), time.monotonic()
        took = 0.0
        while followed.state(view) != followed.ended and not self._readiness.stopping and time.time() < expires:
            await asyncio.sleep(max(self._pause, took * SHARE))
            began = time.monotonic()
            try:
                view = await self._look(followed.key(view), look)
                took = time.monotonic() - began
            except Vanished:
                return
            except Unavailable as outage:
                yield f": the {outage.component} cannot be reached at the moment\n\n".encode()
                continue
            if (news := followed.news(view)) != last_news:
                yield event()
                last_news, sent_at = news, time.monotonic()
            elif time.monotonic() - sent_at >= self._still_here:
                yield b": still here\n\n"
                sent_at = time.monotonic()

    async def _look(self, key: Hashable, look: Callable[[], Awaitable[V]]) -> V:
        """One look-up for all streams that follow the same thing."""
        looking: asyncio.Future[V] | None = self._look_ups.get(key)
        if looking is None:
            looking = self._look_ups[key] = asyncio.ensure_future(look())
            looking.add_done_callback(lambda done: self._looked(key, done))
        return await asyncio.shield(looking)

    def _looked(self, key: Hashable, done: "asyncio.Future[V]") -> None:
        del self._look_ups[key]
        if not done.cancelled():
            done.exception()  # seen, also where all who waited for it have gone


class _Stream(StreamingResponse):
    """Counts itself while it is answered: a generator that a client left ends only when it is collected."""

    def __init__(self, streams: EventStreams, events: AsyncIterator[bytes]) -> None:
        super().__init__(events, 200, HEADERS, "text/event-stream")
        self._streams = streams

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._streams.open += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.open -= 1
