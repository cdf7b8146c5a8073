"""Logs outages of sources: one warning at the start and one line at the end, none for every task."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.errors import NoArchiveData, PermanentFailure, TransientFailure
from app.sources.congestion import IN_A_ROW
from app.sources.patience import Way, way_of

log = logging.getLogger(__name__)

REFUSING = 10.0
"""Seconds of nothing but 429 and 503 that are an outage: for less a source only asks for fewer requests."""

QUIET = 60.0
"""Seconds between two warnings of one source: one that comes and goes is not told each time."""


@dataclass(slots=True)
class _State:
    """The state of one source with one client. Times are seconds of the clock."""

    failures: int = 0
    since: float = 0.0
    """When the first of these failures came."""
    gone_at: float | None = None
    told: bool = False
    warned_at: float = float("-inf")


class Outages:
    """The sources that do not answer now. `clock` gives seconds and never goes back.

    Each pair of a source (as the pacers identify it) and an OAuth client has its own state: one client may be refused
    while another is served.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._states: dict[Way, _State] = {}

    @contextmanager
    def noting(self, configuration: ArchiveTypeConfiguration) -> Iterator[None]:
        """Surrounds one request for a record of this archive type; learns from how the block ends."""
        asked_at = self._clock()
        try:
            yield
        except TransientFailure as failure:
            if failure.unreachable or failure.throttled:
                self._failed(configuration, failure)
            raise
        except (NoArchiveData, PermanentFailure):
            self._answered(configuration, asked_at)
            raise
        else:
            self._answered(configuration, asked_at)

    def _failed(self, configuration: ArchiveTypeConfiguration, failure: TransientFailure) -> None:
        now, state = self._clock(), self._state(configuration)
        if not state.failures:
            state.since = now
        state.failures += 1
        lasts = not failure.throttled or now - state.since >= REFUSING
        if state.gone_at is None and state.failures >= IN_A_ROW and lasts:
            state.gone_at = now
        if state.gone_at is not None and not state.told and now - state.warned_at >= QUIET:
            state.told, state.warned_at = True, now
            source, client = _names(configuration)
            log.warning(
                "the source of %s is away: %s (%s, %s); its references wait or are tried again by themselves, and one "
                "line will say that it is back. Look whether it runs, can be reached from here and takes the token",
                configuration.name,
                failure.cause,
                source,
                client,
            )

    def _answered(self, configuration: ArchiveTypeConfiguration, asked_at: float) -> None:
        state = self._states.get(way_of(configuration))
        if state is None or (state.gone_at is not None and asked_at < state.gone_at):
            return  # asked before it went
        if state.told:
            source, client = _names(configuration)
            lasted = _told(self._clock() - state.since)
            log.info("the source of %s is back after %s (%s, %s)", configuration.name, lasted, source, client)
        state.failures, state.gone_at, state.told = 0, None, False

    def _state(self, configuration: ArchiveTypeConfiguration) -> _State:
        return self._states.setdefault(way_of(configuration), _State())


def _names(configuration: ArchiveTypeConfiguration) -> tuple[str, str]:
    source, client = way_of(configuration)
    return source, "without OAuth client" if client is None else f"OAuth client {client}"


def _told(seconds: float) -> str:
    """A duration as text: `12 s`, `5 min 3 s`, `2 h 10 min`."""
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
