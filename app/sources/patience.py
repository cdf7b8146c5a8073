"""For how long a source could not be reached, without a break. A source counts separately for each OAuth client."""

from dataclasses import dataclass

from app.domain.archive_types import ArchiveTypeConfiguration
from app.sources.pacing import source_key

BREAK = 300.0
"""Seconds without an attempt after which the source may have been reachable meanwhile: its absence then begins anew.
While there is work for the source, attempts are at most 30 s apart."""

Way = tuple[str, str | None]
"""The source as `source_key` names it, and the OAuth client of its requests. Two clients of one source have an absence
each: the source may refuse one and serve the other."""


def way_of(configuration: ArchiveTypeConfiguration) -> Way:
    return source_key(configuration.uri or ""), configuration.oauth_client_id


@dataclass(frozen=True, slots=True)
class Absence:
    """The cause of the last failure, and for how many seconds every attempt has failed."""

    cause: str
    seconds: float


@dataclass(slots=True)
class Unreached:
    """The time for which a source was not reached. Every answer ends it, also an error. Times are seconds of one
    clock."""

    since: float | None = None
    last: float = 0.0
    cause: str = ""

    def failed(self, now: float, cause: str) -> None:
        """An attempt could not reach the source."""
        if self.absence(now) is None:
            self.since = now
        self.last, self.cause = now, cause

    def reached(self) -> None:
        self.since = None

    def absence(self, now: float) -> Absence | None:
        """None when the last attempt reached the source, or when there was no attempt for a long time."""
        if self.since is None or now - self.last > BREAK:
            return None
        return Absence(self.cause, now - self.since)


def duration_text(seconds: float) -> str:
    """A duration as `1h`, `90m`, `45s`: the largest unit that gives a whole number; fractions of a second are
    dropped."""
    whole = max(1, int(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if whole % size == 0:
            return f"{whole // size}{unit}"
    return f"{whole}s"
