"""Since when a source cannot be reached without a break: one place, so that it can be kept beyond this process."""

import time
from collections.abc import Callable
from dataclasses import dataclass

BREAK = 300.0
"""Seconds without a try after which nobody knows whether the source was there meanwhile: its absence begins anew. Tries
are at most 30 s apart while there is work for it."""

Way = tuple[str, str | None]
"""How records are reached: the source as `source_key` names it, and the OAuth client whose token it wants. Two clients
of one source have an absence each: one may be refused while the other is served."""


@dataclass(frozen=True, slots=True)
class Absence:
    """The cause of the last failure, and for how many seconds there was nothing else."""

    cause: str
    seconds: float


class Absences:
    """`clock` gives seconds and never goes back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[Way, tuple[float, float, str]] = {}

    def gone(self, way: Way, cause: str) -> None:
        """It was tried and could not be reached."""
        now = self._clock()
        known = self.of(way)
        self._since[way] = (now if known is None else now - known.seconds, now, cause)

    def back(self, way: Way) -> None:
        """It answered, whatever it said."""
        self._since.pop(way, None)

    def of(self, way: Way) -> Absence | None:
        """None where it was reached when it was last tried, or nobody tried for long."""
        known = self._since.get(way)
        if known is None:
            return None
        since, last, cause = known
        now = self._clock()
        return None if now - last > BREAK else Absence(cause, now - since)


def duration_text(seconds: float) -> str:
    """`1h`, `90m`, `45s`: the largest unit in which it is a whole number, parts of a second left out."""
    whole = max(1, int(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if whole % size == 0:
            return f"{whole // size}{unit}"
    return f"{whole}s"
