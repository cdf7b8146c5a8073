"""The state behind /health/ready: for each component whether it was seen, whether it has a problem, and since when."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic

DATABASE = "database"
BROKER = "broker"
OBJECT_STORE = "objectstore"
ISSUER = "issuer"
SCHEMA_REGISTRY = "schema-registry"
COMPONENTS = (DATABASE, BROKER, OBJECT_STORE, ISSUER)

CONFIGURATION = "configuration"
"""The file of the archive types: no component, as neither work nor the start waits for it."""

STALE = 60.0
"""Seconds after which a successful probe clears a problem that work reported: there may be no work any more."""

UNWATCHED = 90.0
"""Seconds after which a problem of a component without probes (a topic) is removed: work that waits for a topic tries
again at least once a minute, and reports the problem again."""


def topic_named(topic: str) -> str:
    """The name of the component for a single topic that refuses a message."""
    return f"topic {topic}"


@dataclass(frozen=True, slots=True)
class ComponentState:
    """Whether a component, or the file of the archive types, is well, and since when. `reason`: why not; None: it is
    well."""

    name: str
    since: datetime
    reason: str | None

    @property
    def well(self) -> bool:
        return self.reason is None


class Readiness:
    """Components by name. The service is ready once each was seen, while the database is available, and until it stops.

    `optional` ones are watched and named as the others, but the service is ready without them.

    Work and the watch test the same components in different ways: a bucket can answer the watch and refuse every
    object. So each of the two clears only its own reports.
    """

    def __init__(
        self,
        components: Iterable[str],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        optional: Iterable[str] = (),
    ) -> None:
        self._required = tuple(components)
        self.optional = tuple(optional)
        self._components = (*self._required, *self.optional)
        self._now = now
        self._seen: set[str] = set()
        self._by_work: dict[str, tuple[str, float]] = {}
        self._by_watch: dict[str, str] = {}
        started = now()
        self._ill: dict[str, datetime] = dict.fromkeys(self._components, started)
        """Component with a problem → since when."""
        self._well: dict[str, datetime] = {}
        """Component that is well again → since when."""
        self._configuration = ComponentState(CONFIGURATION, started, None)
        self._failed: dict[str, float] = {}
        self._worked: dict[str, float] = {}
        self.sources_away: Mapping[str, str] = {}
        """Archive type whose source does not answer → reason. Its jobs wait for the source (`app.jobs.waiting`)."""
        self.stopping = False

    def work_goes_on(self, component: str) -> bool:
        """Reports that work succeeded; returns True when this ends a problem."""
        self.got_through(component)
        if self._by_work.pop(component, None) is None:
            return False
        self._note_since(component)
        return True

    def got_through(self, component: str) -> None:
        """Reports that one call of work succeeded; a problem that other work has reported stays."""
        self._worked[component] = monotonic()

    def worked_at(self, component: str) -> float:
        """When a call of work last succeeded, in seconds of the monotonic clock."""
        return self._worked.get(component, float("-inf"))

    def failed_at(self, component: str) -> float:
        """When work or a probe last failed."""
        return self._failed.get(component, float("-inf"))

    def outage(self, component: str) -> str | None:
        """The reason why the component is unavailable; None also before its first probe."""
        report = self._by_work.get(component)
        return self._by_watch.get(component) if report is None else report[0]

    def work_waits(self, component: str, reason: str) -> bool:
        """Reports that work waits; returns True when the reason is new."""
        self._forget_unwatched()
        known = self._by_work.get(component)
        self._failed[component] = now = monotonic()
        self._by_work[component] = (reason, now)
        self._note_since(component)
        return known is None or known[0] != reason

    def probe_succeeded(self, component: str) -> bool:
        """Reports a successful probe; returns True when it is the first one, or ends a problem."""
        news = component not in self._seen or component in self._by_watch
        self._seen.add(component)
        self._by_watch.pop(component, None)
        report = self._by_work.get(component)
        if report is not None and monotonic() - report[1] > STALE:
            del self._by_work[component]
        self._note_since(component)
        return news

    def probe_failed(self, component: str, reason: str) -> bool:
        """Reports a failed probe; returns True when the reason is new."""
        news = self._by_watch.get(component) != reason
        self._by_watch[component] = reason
        self._failed[component] = monotonic()
        self._note_since(component)
        return news

    def configuration_taken(self) -> None:
        """The file of the archive types is in force as it is now."""
        self._configuration = ComponentState(CONFIGURATION, self._now(), None)

    def configuration_refused(self, reason: str) -> None:
        """The file of the archive types was changed and could not be taken over; the former content is in force."""
        known = self._configuration
        since = self._now() if known.well else known.since
        self._configuration = replace(known, reason=reason, since=since)

    @property
    def configuration(self) -> ComponentState:
        return self._configuration

    def has_seen(self, component: str) -> bool:
        return component in self._seen

    def _forget_unwatched(self) -> None:
        for name, (_, reported_at) in list(self._by_work.items()):
            if name not in self._components and monotonic() - reported_at > UNWATCHED:
                del self._by_work[name]
                self._note_since(name)

    def _note_since(self, component: str) -> None:
        """Keeps the times in `_ill` and `_well`; called after each report about the component."""
        unseen = component in self._components and component not in self._seen
        if unseen or component in self._by_work or component in self._by_watch:
            self._ill.setdefault(component, self._now())
        elif self._ill.pop(component, None) is not None:
            self._well[component] = self._now()

    @property
    def conditions(self) -> list[ComponentState]:
        """The state of all components, then of all else that work waits for (a topic that refuses a message)."""
        problems = self._component_problems()
        more = sorted(name for name in problems if name not in self._components)
        return [
            ComponentState(name, self._ill[name] if name in problems else self._well[name], problems.get(name))
            for name in (*self._components, *more)
        ]

    @property
    def problems(self) -> dict[str, str]:
        """Component → reason, for each component with a problem; also for a configuration that was refused and for
        sources that are away (`source <archive type>`)."""
        refused = {} if self._configuration.reason is None else {CONFIGURATION: self._configuration.reason}
        sources = {f"source {name}": reason for name, reason in self.sources_away.items()}
        return {**self._component_problems(), **refused, **sources}

    def _component_problems(self) -> dict[str, str]:
        self._forget_unwatched()
        unseen = {name: "not seen yet" for name in self._components if name not in self._seen}
        by_work = {name: reason for name, (reason, _) in self._by_work.items()}
        return {**unseen, **by_work, **self._by_watch}

    @property
    def ready(self) -> bool:
        everything_seen = all(name in self._seen for name in self._required)
        return everything_seen and DATABASE not in self.problems and not self.stopping
