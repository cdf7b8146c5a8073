"""How many requests a source can take at once, learnt from its answers: arithmetic only, no clock and no waiting.

Additive increase, multiplicative decrease as in TCP. A *round* ends when the limit is lowered: what was asked before
that says nothing new, so that 64 refusals of one burst count once.
"""

import random
from collections.abc import Callable

START = 8
"""Requests at once to a source nothing is known about; doubles with every full round of answers."""

IN_A_ROW = 3
"""Failures without an answer between them that mean the source, not the record, is at fault."""

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""Seconds between two probes of a source that does not answer; doubled from the first to the longest."""

LONGEST_PAUSE_ANSWERING = 5.0
"""The same for one that answers, with an error: a job of records that all give 500 must still end."""

LONGEST_ASKED_PAUSE = 3600.0
"""Seconds a `Retry-After` can stop a whole source; the task that got it waits longer where it says so."""

SLOW_FACTOR, SLOW_EXTRA, SLOW_FLOOR = 3.0, 0.1, 0.25
"""Slow is a smoothed latency above 3 times the usual plus 100 ms, never below 250 ms: natural jitter is no reason."""

SLOW_SHARE = 8
"""Slowness alone takes a source down to an eighth of the slots, not further: it does answer."""

SMOOTHING = 0.1
USUAL_DOUBLES_IN = 20.0
"""Seconds in which the usual latency doubles towards the present one: a source may become slower for good."""


class Congestion:
    """The state of one source. All times are seconds of one monotonic clock that the caller reads.

    `limit`: the number of requests at the same time, 1 to `slots`. `retry_at`: nothing may be asked before that time.
    `round`: the caller keeps it when a request starts and gives it back with the result.
    """

    def __init__(self, slots: int, jitter: Callable[[], float] = random.random) -> None:
        self.slots = slots
        self.retry_at = float("-inf")
        self.round = 0
        self.closed = False
        self._jitter = jitter
        self._limit = self._least = float(min(slots, START))
        self._threshold = float(slots)
        self._failures = 0
        self._pause = 0.0
        self._slowed_at = float("-inf")
        self._smoothed: float | None = None
        self._usual = 0.0
        self._usual_at = 0.0

    @property
    def limit(self) -> int:
        return int(self._limit)

    def take_least(self) -> int:
        """The smallest limit since this was called last."""
        least, self._least = self._least, self._limit
        return int(least)

    @property
    def expected(self) -> int:
        """Requests at once that the source will soon take: as many as before it refused some or became slow."""
        return int(max(self._limit, self._threshold))

    def answered(self, round: int, now: float, latency: float | None = None) -> None:
        """The source answered with a result.

        `latency` is in seconds, for answers that can be compared: documents, not a quick 404.
        """
        if self.closed and round != self.round:
            return  # asked before the source failed; the next probe tells
        self._failures = 0
        if self.closed:
            self.closed = False
            self._pause = 0.0
        if self._limit < self._threshold:
            self._limit += 1
        else:
            self._limit += 1 / self._limit
        self._limit = min(self._limit, float(self.slots))
        if latency is not None:
            self._weigh(round, now, latency)

    def throttled(self, round: int, now: float, retry_after: float | None = None) -> None:
        """After a 429 or 503: half of the requests. When only refusals come: one request at a time with pauses."""
        self._failures += 1
        self._wait(now, retry_after)
        if self.closed or self._failures >= max(IN_A_ROW, self.limit):
            self._close(round, now, answering=True)
        elif round == self.round:
            self._lower(self._limit / 2)

    def unreachable(self, round: int, now: float, *, answering: bool, retry_after: float | None = None) -> None:
        """No connection, a timeout, or (`answering`) 5xx. After several in a row: one request at a time with pauses."""
        self._failures += 1
        self._wait(now, retry_after)
        if self.closed or self._failures >= IN_A_ROW:
            self._close(round, now, answering=answering)

    def _wait(self, now: float, seconds: float | None) -> None:
        if seconds:
            self.retry_at = max(self.retry_at, now + min(seconds, LONGEST_ASKED_PAUSE))

    def _lower(self, limit: float) -> None:
        self._limit = self._threshold = max(1.0, limit)
        self._least = min(self._least, self._limit)
        self.round += 1

    def _close(self, round: int, now: float, *, answering: bool) -> None:
        if self.closed and round != self.round:
            return  # one of many that were under way when the source failed
        if not self.closed:
            self.closed = True
            threshold = self._limit / 2
            self._lower(1)
            self._threshold = threshold
        else:
            self.round += 1
        longest = LONGEST_PAUSE_ANSWERING if answering else LONGEST_PAUSE
        self._pause = min(max(FIRST_PAUSE, self._pause * 2), longest)
        self._wait(now, self._pause * (0.75 + self._jitter() / 4))

    def _weigh(self, round: int, now: float, latency: float) -> None:
        """Lowers the limit when answers have become slow, at most once a second and once a round."""
        if self._smoothed is None:
            self._smoothed = self._usual = latency
        self._smoothed += SMOOTHING * (latency - self._smoothed)
        drifted = self._usual * 2 ** min((now - self._usual_at) / USUAL_DOUBLES_IN, 60)
        self._usual = min(self._smoothed, drifted)
        self._usual_at = now
        slow = self._smoothed > max(SLOW_FLOOR, SLOW_FACTOR * self._usual + SLOW_EXTRA)
        floor = max(1.0, self.slots / SLOW_SHARE)
        if slow and round == self.round and self._limit > floor and now >= self._slowed_at + max(1.0, self._smoothed):
            self._slowed_at = now
            self._lower(max(floor, self._limit / 2))
