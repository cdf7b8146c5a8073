"""Decides when a source may be asked: one pacer per source, before every attempt; and the pause after a failure."""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Self
from urllib.parse import urlsplit

from app.domain.errors import NoArchiveData, PermanentFailure, TransientFailure
from app.domain.forecast import Pace
from app.sources.congestion import Congestion
from app.telemetry import metrics

SLOT_PATIENCE = 5.0
"""Seconds a task may hold a slot while it waits for its source; longer waits put it back (contract, section 5)."""

LONGEST_BACKOFF = 30.0

DEFAULT_PORTS = {"http": 80, "https": 443}


class SourceBusy(Exception):
    """The source must not be asked yet: put the task back; no attempt was used up."""

    def __init__(self, not_before_seconds: float, reason: str) -> None:
        super().__init__(f"not before {not_before_seconds:.1f}s: {reason}")
        self.not_before_seconds = not_before_seconds
        self.reason = reason


class Attempt:
    """One request of an OAuth client (None: without one), as a context: it is counted from its admission to the end of
    the block, and the pacer learns from how the block ends. Call `answered()` when the headers of a document have
    arrived.

    Entering raises `SourceBusy` when the wait is, or turns out to be, longer than the patience.
    """

    __slots__ = ("_pacer", "_started", "client", "latency", "round")

    def __init__(self, pacer: "Pacer", client: str | None) -> None:
        self._pacer = pacer
        self.client = client

    async def __aenter__(self) -> Self:
        await self._pacer.admit()
        self.asked()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._pacer.ended(self, error)

    def asked(self) -> None:
        """Called when the request goes out: until then it waited for a token or for memory."""
        self.latency: float | None = None
        self.round = self._pacer.congestion.round
        self._started = self._pacer.clock()

    def answered(self) -> None:
        self.latency = self._pacer.clock() - self._started


@dataclass(frozen=True, slots=True)
class LastFailure:
    """Why the source gave no answer to an attempt, without its address, and how many seconds ago."""

    cause: str
    ago: float


class Pacer:
    """Lets as many requests through to one source as the source can take, first come, first served.

    `slots` is the largest number of requests at the same time.
    """

    def __init__(
        self, slots: int, *, patience: float = SLOT_PATIENCE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.congestion = Congestion(slots)
        self.in_flight = 0
        self._patience = patience
        self.clock = clock
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._cause = ""
        self._failures: dict[str | None, tuple[str, float]] = {}
        """The last failure of each OAuth client: its cause, and when it came."""

    @property
    def limit(self) -> int:
        """Requests that the source can take at the same time, at least 1."""
        return self.congestion.limit

    @property
    def pace(self) -> Pace:
        """What it lets through now, and is expected to."""
        congestion = self.congestion
        rest = max(0.0, congestion.retry_at - self.clock())
        return Pace(congestion.limit, congestion.expected, congestion.slots, rest)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def rest(self) -> float:
        """Seconds for which the source is not asked; 0 when it may be asked now."""
        return max(0.0, self.congestion.retry_at - self.clock())

    def last_failure(self, client: str | None) -> LastFailure | None:
        """The last failure of an attempt with this client that was no answer about a record. It stays known when later
        attempts succeed."""
        known = self._failures.get(client)
        return None if known is None else LastFailure(known[0], self.clock() - known[1])

    def attempt(self, client: str | None = None) -> Attempt:
        """One request; enter it to be admitted."""
        return Attempt(self, client)

    async def admit(self) -> None:
        """Waits until one more request may be sent, and counts it. Raises `SourceBusy`."""
        if self._waiting or not self._is_open():
            await self._wait()
        else:
            self.in_flight += 1

    def ended(self, attempt: Attempt, error: BaseException | None) -> None:
        """Counts an admitted request no longer, and learns from its end."""
        match error:
            case None:
                self.congestion.answered(attempt.round, self.clock(), attempt.latency)
            case NoArchiveData() | PermanentFailure():
                self.congestion.answered(attempt.round, self.clock())
            case TransientFailure():
                self._learn(attempt, error)
            case _:
                pass  # it was cancelled, or says nothing about the source
        self.in_flight -= 1
        if self._waiting:
            self._serve()

    def _learn(self, attempt: Attempt, failure: TransientFailure) -> None:
        now = self.clock()
        self._cause = failure.cause
        self._failures[attempt.client] = (failure.cause, now)
        if failure.throttled:
            self.congestion.throttled(attempt.round, now, failure.retry_after)
        elif failure.unreachable:
            answering = attempt.latency is not None
            self.congestion.unreachable(attempt.round, now, answering=answering, retry_after=failure.retry_after)

    def _is_open(self) -> bool:
        congestion = self.congestion
        return self.in_flight < congestion.limit and congestion.retry_at <= self.clock()

    async def _wait(self) -> None:
        self._refuse_long_pause()
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(admitted)
        self._serve()
        try:
            await asyncio.wait((admitted,), timeout=self._patience)
        except asyncio.CancelledError:
            if admitted.done() and admitted.exception() is None:
                self.in_flight -= 1
            elif not admitted.done():
                self._waiting.remove(admitted)
            self._serve()
            raise
        if not admitted.done():
            self._waiting.remove(admitted)
            raise self._busy()
        admitted.result()

    def _refuse_long_pause(self) -> None:
        if self.congestion.retry_at - self.clock() > self._patience:
            raise self._busy()

    def _busy(self) -> SourceBusy:
        """The pause, spread over some seconds, so that tasks put back together do not return together."""
        asked = self.congestion.retry_at - self.clock()
        rests = asked > 0 and self._cause
        reason = f"the source is given a rest, its last failure: {self._cause}" if rests else "the source is busy"
        return SourceBusy(max(asked, 1.0) + random.random() * 2, reason)

    def _serve(self) -> None:
        """Admits the requests that may go now; refuses at once those whose wait has become too long."""
        while self._waiting and self._is_open():
            self._waiting.popleft().set_result(None)
            self.in_flight += 1
        pause = self.congestion.retry_at - self.clock()
        if pause > self._patience:
            while self._waiting:
                self._waiting.popleft().set_exception(self._busy())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting and pause > 0:
            self._timer = asyncio.get_running_loop().call_later(pause, self._serve)


class SourcePacers:
    """One pacer for each source; a source is scheme, host and port, whatever the path."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._pacers: dict[str, Pacer] = {}

    @property
    def asked(self) -> Mapping[str, Pacer]:
        """The pacers of all sources that were asked for since the process started."""
        return self._pacers

    def of(self, source: str) -> Pacer:
        """`source` as `source_key` makes it."""
        pacer = self._pacers.get(source)
        if pacer is None:
            pacer = self._pacers[source] = Pacer(self.slots)
            metrics.SOURCE_LIMIT.labels(source).set_function(lambda: pacer.limit)
        return pacer

    def limit(self, source: str, others_have_work: bool, slots: int) -> int:
        """How many of `slots` slots the tasks of this source may hold now, at least 1; half when another source has
        work."""
        share = max(1, slots // 2) if others_have_work else slots
        return min(self.of(source).limit, share)


@lru_cache(maxsize=1024)
def source_key(uri_template: str) -> str:
    """`scheme://host:port` of a template."""
    parts = urlsplit(uri_template)
    return f"{parts.scheme}://{parts.hostname}:{parts.port or DEFAULT_PORTS.get(parts.scheme, 0)}"


def backoff(attempt: int, base: float, retry_after: float | None = None) -> float:
    """Seconds to wait after the failed attempt number `attempt` (from 1): `base` doubled each time, up to 30 s.

    Equal jitter: half of the pause is fixed, so that a source always gets a rest, and half is random, so that tasks
    that failed together do not return together. Never shorter than the pause that the source asked for.
    """
    full: float = min(LONGEST_BACKOFF, base * 2 ** min(attempt - 1, 30))
    pause = full / 2 + random.random() * full / 2
    return pause if retry_after is None else max(pause, retry_after + random.random() * base)
