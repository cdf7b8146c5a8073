"""How long a source could not be reached without a break: kept in one place, so that it can be stored elsewhere."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from app.domain.archive_types import ArchiveTypeConfiguration
from app.sources.pacing import source_key

BREAK = 300.0
"""Seconds without a try after which nobody knows whether the source was there meanwhile: its absence begins anew. Tries
are at most 30 s apart while there is work for it."""

Way = tuple[str, str | None]
"""How records are reached: the source as `source_key` names it, and the OAuth client whose token it wants. Two clients
of one source have an absence each: one may be refused while the other is served."""


def way_of(configuration: ArchiveTypeConfiguration) -> Way:
    return source_key(configuration.uri or ""), configuration.oauth_client_id


@dataclass(frozen=True, slots=True)
class Absence:
    """The cause of the last failure, and for how many seconds every attempt has failed."""

    cause: str
    seconds: float


class Absences:
    """`clock` gives seconds and never goes back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[Way, tuple[float, float, str]] = {}

    def gone(self, way: Way, cause: str) -> None:
        """An attempt could not reach the source."""
        now = self._clock()
        known = self.of(way)
        self._since[way] = (now if known is None else now - known.seconds, now, cause)

    def back(self, way: Way) -> None:
        """The source answered, with whatever status."""
        self._since.pop(way, None)

    def of(self, way: Way) -> Absence | None:
        """None when the source was reached at the last attempt, or nobody has tried for long."""
        known = self._since.get(way)
        if known is None:
            return None
        since, last, cause = known
        now = self._clock()
        return None if now - last > BREAK else Absence(cause, now - since)


def duration_text(seconds: float) -> str:
    """A duration as `1h`, `90m`, `45s`: the largest unit that gives a whole number; fractions of a second are
    dropped."""
    whole = max(1, int(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if whole % size == 0:
            return f"{whole // size}{unit}"
    return f"{whole}s"
