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
"""Seconds after which a watch that finds a component well overrules what work said: there may be no work any more."""

UNWATCHED = 90.0
"""Seconds after which what work said of a component without a watch (a topic) is forgotten: work that waits for one
tries again at least once a minute, and says it again."""


def topic_named(topic: str) -> str:
    """The name of the component for a single topic that refuses a message."""
    return f"topic {topic}"


@dataclass(frozen=True, slots=True)
class Condition:
    """How something is, and since when it is so. `reason` says why it is not well; None: it is well."""

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
        """Since when each component with a problem has it."""
        self._well: dict[str, datetime] = {}
        """Since when each other one is well again."""
        self._configuration = Condition(CONFIGURATION, started, None)
        self._failed: dict[str, float] = {}
        self._worked: dict[str, float] = {}
        self.sources_away: Mapping[str, str] = {}
        """Source → reason; their jobs say so too (`app.jobs.waiting`)."""
        self.stopping = False

    def work_goes_on(self, component: str) -> bool:
        """Work succeeded; returns True when this is news."""
        self.got_through(component)
        if self._by_work.pop(component, None) is None:
            return False
        self._note_since(component)
        return True

    def got_through(self, component: str) -> None:
        """The component has done something for work; what it refuses at the same time stays named."""
        self._worked[component] = monotonic()

    def worked_at(self, component: str) -> float:
        """When work last got through, in seconds of the monotonic clock."""
        return self._worked.get(component, float("-inf"))

    def failed_at(self, component: str) -> float:
        """When work or a probe last failed."""
        return self._failed.get(component, float("-inf"))

    def outage(self, component: str) -> str | None:
        """The reason why the component is away; None also while it was not looked at yet."""
        said = self._by_work.get(component)
        return self._by_watch.get(component) if said is None else said[0]

    def work_waits(self, component: str, reason: str) -> bool:
        """Work waits; returns True when this is news."""
        self._forget_unwatched()
        known = self._by_work.get(component)
        self._failed[component] = now = monotonic()
        self._by_work[component] = (reason, now)
        self._note_since(component)
        return known is None or known[0] != reason

    def probe_succeeded(self, component: str) -> bool:
        """A probe of the watch succeeded; returns True when this is news."""
        news = component not in self._seen or component in self._by_watch
        self._seen.add(component)
        self._by_watch.pop(component, None)
        said = self._by_work.get(component)
        if said is not None and monotonic() - said[1] > STALE:
            del self._by_work[component]
        self._note_since(component)
        return news

    def probe_failed(self, component: str, reason: str) -> bool:
        """A probe of the watch failed; returns True when this is news."""
        news = self._by_watch.get(component) != reason
        self._by_watch[component] = reason
        self._failed[component] = monotonic()
        self._note_since(component)
        return news

    def configuration_taken(self) -> None:
        """The file of the archive types is in force as it is now."""
        self._configuration = Condition(CONFIGURATION, self._now(), None)

    def configuration_refused(self, reason: str) -> None:
        """The file of the archive types was changed and could not be taken over; the former content is in force."""
        known = self._configuration
        since = self._now() if known.well else known.since
        self._configuration = replace(known, reason=reason, since=since)

    @property
    def configuration(self) -> Condition:
        return self._configuration

    def has_seen(self, component: str) -> bool:
        return component in self._seen

    def _forget_unwatched(self) -> None:
        for name, (_, said) in list(self._by_work.items()):
            if name not in self._components and monotonic() - said > UNWATCHED:
                del self._by_work[name]
                self._note_since(name)

    def _note_since(self, component: str) -> None:
        """Called after each change: whether the component has a problem, whoever reports it."""
        unseen = component in self._components and component not in self._seen
        if unseen or component in self._by_work or component in self._by_watch:
            self._ill.setdefault(component, self._now())
        elif self._ill.pop(component, None) is not None:
            self._well[component] = self._now()

    @property
    def conditions(self) -> list[Condition]:
        """All components, then what else work waits for (a topic that refuses a message)."""
        problems = self._component_problems()
        more = sorted(name for name in problems if name not in self._components)
        return [
            Condition(name, self._ill[name] if name in problems else self._well[name], problems.get(name))
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
