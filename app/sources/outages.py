"""Outages of sources: when each began and why; one warning in the log at its beginning, one line at its end."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.errors import NoArchiveData, PermanentFailure, TransientFailure
from app.sources.congestion import IN_A_ROW, LONGEST_ASKED_PAUSE
from app.sources.pacing import SLOT_PATIENCE
from app.sources.patience import BREAK, Absence, Unreached, Way, way_of

log = logging.getLogger(__name__)

REFUSING = 5.0
"""Seconds with nothing but 429 and 503 that make an outage: for a shorter time the source only asks for fewer
requests."""

SOON = 2.0
"""Seconds after which a single failed connection, without an answer since, makes an outage: a job may have only one
reference."""

QUIET = 60.0
"""Seconds between two warnings of one source: a source that comes and goes is not reported each time."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A source that does not answer. `names` are the archive types whose requests failed, `client` is the OAuth client.

    `reason` is the cause of the last failure, at `last` seconds of the clock; `since` is the time of the first failure.
    """

    source: str
    client: str | None
    names: tuple[str, ...]
    since: datetime
    reason: str
    last: float

    @property
    def way(self) -> Way:
        return self.source, self.client


@dataclass(slots=True)
class _State:
    """The state of one source with one client. Times are seconds of the clock, or times of day (`…_at`)."""

    failures: int = 0
    since: float = 0.0
    """When the first of these failures came."""
    since_at: datetime | None = None
    last: float = 0.0
    cause: str = ""
    """The cause of the last failure."""
    rest_until: float = float("-inf")
    """The end of the pause that the source asked for."""
    keeps_attempt: bool = False
    """Whether the last failure used up no attempt: its record will be requested again."""
    gone_at: float | None = None
    is_reported: bool = False
    warned_at: float = float("-inf")
    asked_at: float = float("-inf")
    """When the last answered request was sent."""
    unreached: Unreached = field(default_factory=Unreached)
    met: dict[str, ArchiveTypeConfiguration] = field(default_factory=dict)
    """The archive types whose requests failed, by name."""


def _now() -> datetime:
    return datetime.now(UTC)


class Noting:
    """A request as a context (`Outages.noting`)."""

    __slots__ = ("_asked_at", "_configuration", "_outages")

    def __init__(self, outages: "Outages", configuration: ArchiveTypeConfiguration) -> None:
        self._outages = outages
        self._configuration = configuration

    def __enter__(self) -> None:
        self._asked_at = self._outages.clock()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._outages.ended(self._configuration, self._asked_at, error)


class Outages:
    """The sources that do not answer now. `clock` gives seconds and never goes back, `now` the time of day.

    Each pair of a source (as the pacers identify it) and an OAuth client has its own state: one client may be refused
    while another is served.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, now: Callable[[], datetime] = _now) -> None:
        self.clock = clock
        self._now = now
        self._states: dict[Way, _State] = {}

    def noting(self, configuration: ArchiveTypeConfiguration) -> "Noting":
        """Surrounds one request for a record of this archive type; learns from how the block ends."""
        return Noting(self, configuration)

    def ended(self, configuration: ArchiveTypeConfiguration, asked_at: float, error: BaseException | None) -> None:
        """Learns from the end of a request that was sent at this moment of the clock."""
        if isinstance(error, TransientFailure):
            self._failed(configuration, error)
        elif error is None or isinstance(error, NoArchiveData | PermanentFailure):
            self._answered(configuration, asked_at)

    def absence(self, way: Way) -> Absence | None:
        """For how long the source could not be reached; None when the last attempt reached it, or when there was no
        attempt for a long time."""
        state = self._states.get(way)
        return None if state is None else state.unreached.absence(self.clock())

    def current(self) -> list[Outage]:
        """The present outages, without sources that no request was sent to for a long time."""
        return [outage for way in tuple(self._states) if (outage := self.of(way)) is not None]

    def of(self, way: Way) -> Outage | None:
        """The outage of one source; None when it answers, or when no request was sent to it for a long time."""
        state, now = self._states.get(way), self.clock()
        if state is None or not state.failures or _is_forgotten(state, now):
            return None
        enough = SOON if state.unreached.since is not None else REFUSING
        if state.gone_at is None and state.keeps_attempt and now - state.since >= enough:
            self._gone(state, next(reversed(state.met.values())))
        if state.gone_at is None or state.since_at is None:
            return None
        return Outage(*way, tuple(state.met), state.since_at, _reason(state.cause, way), state.last)

    def answered_since(self, way: Way, moment: float) -> bool:
        """Whether a request that was sent after this moment of the clock was answered."""
        state = self._states.get(way)
        return state is not None and state.asked_at > moment

    def _failed(self, configuration: ArchiveTypeConfiguration, failure: TransientFailure) -> None:
        now, state = self.clock(), self._state(configuration)
        if failure.no_connection:
            state.unreached.failed(now, failure.cause)
        else:
            state.unreached.reached()
        if not (failure.unreachable or failure.throttled):
            return
        if state.failures and _is_forgotten(state, now):
            self._begin_anew(state)
        if not state.failures:
            state.since, state.since_at = now, self._now()
        state.failures += 1
        state.keeps_attempt = failure.keeps_attempt
        state.last, state.cause = now, failure.cause
        state.met[configuration.name] = configuration
        rest = min(failure.retry_after or 0.0, LONGEST_ASKED_PAUSE)
        state.rest_until = max(state.rest_until, now + rest)
        lasts = not failure.throttled or now - state.since >= REFUSING
        if (state.failures >= IN_A_ROW and lasts) or rest > SLOT_PATIENCE:
            self._gone(state, configuration)

    def _gone(self, state: _State, configuration: ArchiveTypeConfiguration) -> None:
        now = self.clock()
        if state.gone_at is None:
            state.gone_at = now
        if not state.is_reported and now - state.warned_at >= QUIET:
            state.is_reported, state.warned_at = True, now
            source, client = _names(configuration)
            log.warning(
                "the source of %s is away: %s (%s, %s); its references wait or are tried again by themselves, and one "
                "line will say that it is back. Look whether it runs, can be reached from here and takes the token",
                configuration.name,
                state.cause,
                source,
                client,
            )

    def _answered(self, configuration: ArchiveTypeConfiguration, asked_at: float) -> None:
        state = self._state(configuration)
        state.unreached.reached()
        if state.gone_at is not None and asked_at < state.gone_at:
            return  # asked before it went
        state.asked_at = max(state.asked_at, asked_at)
        if state.is_reported:
            source, client = _names(configuration)
            lasted = _duration_words(self.clock() - state.since)
            log.info("the source of %s is back after %s (%s, %s)", configuration.name, lasted, source, client)
        if state.failures:
            self._begin_anew(state)

    @staticmethod
    def _begin_anew(state: _State) -> None:
        state.failures, state.gone_at, state.is_reported, state.rest_until = 0, None, False, float("-inf")
        state.met.clear()

    def _state(self, configuration: ArchiveTypeConfiguration) -> _State:
        way = way_of(configuration)
        state = self._states.get(way)
        if state is None:
            state = self._states[way] = _State()
        return state


def _is_forgotten(state: _State, now: float) -> bool:
    return now - max(state.last, state.rest_until) > BREAK


def _reason(cause: str, way: Way) -> str:
    """The cause, with the OAuth client where there is one."""
    client = way[1]
    named = client is None or f"OAuth client {client}" in cause
    return cause if named else f"{cause} (OAuth client {client})"


def _names(configuration: ArchiveTypeConfiguration) -> tuple[str, str]:
    source, client = way_of(configuration)
    return source, "without OAuth client" if client is None else f"OAuth client {client}"


def _duration_words(seconds: float) -> str:
    """A duration as text: `12 s`, `5 min 3 s`, `2 h 10 min`."""
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
