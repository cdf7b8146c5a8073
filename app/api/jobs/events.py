"""Jobs as server-sent events: a full snapshot whenever something changed."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

from fastapi import Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.api.http.problems import RETRY_AFTER, ApiProblem
from app.api.jobs.models import JobView
from app.domain.errors import Unavailable
from app.domain.jobs import JobState
from app.domain.readiness import Readiness
from app.jobs import control
from app.jobs.control import UnknownJob

PAUSE = 1.0
"""Seconds between two looks at a job."""

SHARE = 10
"""Pauses are so many times as long as the look before them: a million references without data take time to count."""

STILL_HERE = 15.0
"""Seconds without news after which a comment is sent, so that nobody in between takes the connection for dead."""

MOST = 100
"""Streams at a time: each may follow another job, which asks the database once a second."""

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""The second one keeps proxies from gathering events."""


class EventStreams:
    """`pause` and `still_here` are in seconds; `open` says how many there are."""

    def __init__(self, readiness: Readiness, *, pause: float = PAUSE, still_here: float = STILL_HERE) -> None:
        self._readiness = readiness
        self._pause = pause
        self._still_here = still_here
        self.open = 0
        self._looks: dict[UUID, asyncio.Future[control.JobView]] = {}

    def answer(
        self,
        first: control.JobView,
        look: Callable[[], Awaitable[control.JobView]],
        last_event_id: str | None,
        expires: float,
    ) -> Response:
        """Until the job ends, the service stops or the token does (`expires`, seconds since the epoch).

        204 tells a browser that asks again not to go on: the id of the last event of a job says that it has ended.
        Raises ApiProblem 503 where too many are open.
        """
        if first.job.state is JobState.COMPLETED and last_event_id == JobState.COMPLETED:
            return Response(status_code=204)
        if self.open >= MOST:
            headers = {"Retry-After": str(RETRY_AFTER)}
            raise ApiProblem(503, f"{MOST} jobs are followed already; look at it instead.", headers=headers)
        return _Stream(self, self._events(first, look, expires))

    async def _events(
        self, view: control.JobView, look: Callable[[], Awaitable[control.JobView]], expires: float
    ) -> AsyncIterator[bytes]:
        yield _event(view)
        said, told = _news(view), time.monotonic()
        took = 0.0
        while view.job.state is JobState.OPEN and not self._readiness.stopping and time.time() < expires:
            await asyncio.sleep(max(self._pause, took * SHARE))
            began = time.monotonic()
            try:
                view = await self._look(view.job.id, look)
                took = time.monotonic() - began
            except UnknownJob:
                return
            except Unavailable as away:
                yield f": the {away.component} cannot be reached at the moment\n\n".encode()
                continue
            if (news := _news(view)) != said:
                yield _event(view)
                said, told = news, time.monotonic()
            elif time.monotonic() - told >= self._still_here:
                yield b": still here\n\n"
                told = time.monotonic()

    async def _look(self, job_id: UUID, look: Callable[[], Awaitable[control.JobView]]) -> control.JobView:
        """One look for all who follow the same job."""
        looking = self._looks.get(job_id)
        if looking is None:
            looking = self._looks[job_id] = asyncio.ensure_future(look())
            looking.add_done_callback(lambda done: self._looked(job_id, done))
        return await asyncio.shield(looking)

    def _looked(self, job_id: UUID, done: asyncio.Future[control.JobView]) -> None:
        del self._looks[job_id]
        if not done.cancelled():
            done.exception()  # seen, also where all who waited for it have gone


class _Stream(StreamingResponse):
    """Counts itself while it is answered: a generator that a client left ends when it is collected, some time."""

    def __init__(self, streams: EventStreams, events: AsyncIterator[bytes]) -> None:
        super().__init__(events, 200, HEADERS, "text/event-stream")
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._streams.open += 1
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.open -= 1


def _event(view: control.JobView) -> bytes:
    return f"id: {view.job.state}\ndata: {JobView.of(view).model_dump_json(by_alias=True)}\n\n".encode()


def _news(view: control.JobView) -> tuple[object, ...]:
    """What makes a new event: the estimated end moves by itself."""
    return view.job, view.without_data, view.without_data_at
