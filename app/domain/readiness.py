"""The state behind /health/ready: for each component whether it was seen, and whether it has a problem."""

from collections.abc import Iterable
from time import monotonic

DATABASE = "database"
BROKER = "broker"
OBJECT_STORE = "objectstore"
ISSUER = "issuer"
COMPONENTS = (DATABASE, BROKER, OBJECT_STORE, ISSUER)

STALE = 60.0
"""Seconds after which a watch that finds a component well overrules what work said: there may be no work any more."""

UNWATCHED = 90.0
"""Seconds after which what work said of a component without a watch (a topic) is forgotten: work that waits for one
tries again at least once a minute, and says it again."""


def topic_named(topic: str) -> str:
    """The name of the component for a single topic that refuses a message."""
    return f"topic {topic}"


class Readiness:
    """Components by name. The service is ready once each was seen, while the database is available, and until it stops.

    Work and the watch test the same components in different ways: a bucket can answer the watch and refuse every
    object. So each of the two clears only its own reports.
    """

    def __init__(self, components: Iterable[str]) -> None:
        self._components = tuple(components)
        self._seen: set[str] = set()
        self._by_work: dict[str, tuple[str, float]] = {}
        self._by_watch: dict[str, str] = {}
        self.stopping = False

    def work_goes_on(self, component: str) -> bool:
        """Work succeeded; returns True when this is news."""
        return self._by_work.pop(component, None) is not None

    def work_waits(self, component: str, reason: str) -> bool:
        """Work waits; returns True when this is news."""
        self._forget_unwatched()
        known = self._by_work.get(component)
        self._by_work[component] = (reason, monotonic())
        return known is None or known[0] != reason

    def probe_succeeded(self, component: str) -> bool:
        """A probe of the watch succeeded; returns True when this is news."""
        news = component not in self._seen or component in self._by_watch
        self._seen.add(component)
        self._by_watch.pop(component, None)
        said = self._by_work.get(component)
        if said is not None and monotonic() - said[1] > STALE:
            del self._by_work[component]
        return news

    def probe_failed(self, component: str, reason: str) -> bool:
        """A probe of the watch failed; returns True when this is news."""
        news = self._by_watch.get(component) != reason
        self._by_watch[component] = reason
        return news

    def has_seen(self, component: str) -> bool:
        return component in self._seen

    def _forget_unwatched(self) -> None:
        for name, (_, said) in list(self._by_work.items()):
            if name not in self._components and monotonic() - said > UNWATCHED:
                del self._by_work[name]

    @property
    def problems(self) -> dict[str, str]:
        """Component → reason, for each component with a problem."""
        self._forget_unwatched()
        unseen = {name: "not seen yet" for name in self._components if name not in self._seen}
        by_work = {name: reason for name, (reason, _) in self._by_work.items()}
        return {**unseen, **by_work, **self._by_watch}

    @property
    def ready(self) -> bool:
        everything_seen = all(name in self._seen for name in self._components)
        return everything_seen and DATABASE not in self.problems and not self.stopping
