"""What this process knows to be away (broker, schema registry, object store, sources), and whether work got through."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic

from app.catalog.archive_types import ResolveError
from app.catalog.live import LiveCatalog
from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.readiness import BROKER, OBJECT_STORE, SCHEMA_REGISTRY, Readiness
from app.domain.waiting import Waiting, WaitingFor
from app.sources.outages import Outage, Outages
from app.sources.pacing import SourcePacers
from app.sources.patience import way_of

SETTLED = 1.0
"""Seconds for which nothing got through to a component before jobs wait for it: one refused call is repeated sooner."""

COMPONENTS = {
    BROKER: WaitingFor.BROKER,
    SCHEMA_REGISTRY: WaitingFor.SCHEMA_REGISTRY,
    OBJECT_STORE: WaitingFor.OBJECT_STORE,
}


@dataclass(frozen=True, slots=True)
class Fact:
    """What jobs wait for, and when that was last found out, in seconds of the monotonic clock."""

    waiting: Waiting
    failed_at: float


class Away:
    """The memory of this process; asks nobody. Call `look` before each round of questions."""

    def __init__(
        self,
        readiness: Readiness,
        catalog: LiveCatalog,
        pacers: SourcePacers,
        outages: Outages,
        registry_holds_tasks: Callable[[], bool] = lambda: False,
    ) -> None:
        """`registry_holds_tasks`: an outage of the schema registry alone holds up nothing whose schemas are known."""
        self._readiness = readiness
        self._catalog = catalog
        self._pacers = pacers
        self._outages = outages
        self._registry_holds_tasks = registry_holds_tasks
        self._began: dict[str, float] = {}
        """Since when nothing gets through to a component that has a problem."""
        self._ended: dict[str, float] = {}
        """When the problem of a component was last found to be over."""
        self._components: dict[str, Fact] = {}
        self._facts: dict[str, Fact | None] = {}
        """Of sources, by archive type, as far as they were asked for since the last look."""
        self.sources: Sequence[Outage] = ()

    def look(self) -> None:
        self._facts = {}
        self.sources = self._outages.away()
        self._components = {name: fact for name in COMPONENTS if (fact := self._component(name)) is not None}

    @property
    def anything(self) -> bool:
        return bool(self.sources or self._components)

    def fact(self, message: str, config_id: str | None) -> Fact | None:
        """What a job of this archive type waits for. Its source goes before the object store, which is asked after
        it; without broker or schemas nothing is asked."""
        messages = self._components.get(BROKER) or self._components.get(SCHEMA_REGISTRY)
        store = self._components.get(OBJECT_STORE)
        if messages is not None or not self.sources:
            return messages or store
        return self._source(message, config_id) or store

    def has_got_through(self, message: str, config_id: str | None, waiting: Waiting, since: float) -> bool:
        """Whether work of this process got through to what the job waits for, after this moment of the clock."""
        if waiting.for_ is WaitingFor.SOURCE:
            configuration = self._configuration(message, config_id)
            return configuration is not None and self._outages.answered_since(way_of(configuration), since)
        if waiting.for_ is WaitingFor.SCHEMA_REGISTRY:
            return not self._registry_holds_tasks()
        worked = self._readiness.worked_at(waiting.name)
        return max(worked, self._ended.get(waiting.name, worked)) > since

    def _component(self, name: str) -> Fact | None:
        reason, now = self._readiness.outage(name), monotonic()
        if name == SCHEMA_REGISTRY and not self._registry_holds_tasks():
            reason = None
        if reason is None:
            if self._began.pop(name, None) is not None:
                self._ended[name] = now
            return None
        worked = self._readiness.worked_at(name)
        began = max(self._began.setdefault(name, now), worked)
        self._began[name] = began
        if now - began < SETTLED:
            return None
        since = datetime.now(UTC) - timedelta(seconds=now - began)
        return Fact(Waiting(COMPONENTS[name], name, since, reason, None), self._readiness.failed_at(name))

    def _source(self, message: str, config_id: str | None) -> Fact | None:
        configuration = self._configuration(message, config_id)
        if configuration is None:
            return None
        if configuration.name not in self._facts:
            self._facts[configuration.name] = self._fact_of(configuration)
        return self._facts[configuration.name]

    def _fact_of(self, configuration: ArchiveTypeConfiguration) -> Fact | None:
        way = way_of(configuration)
        for outage in self.sources:
            if outage.way == way:
                rest = self._pacers.of(outage.source).rest
                next_try = datetime.now(UTC) + timedelta(seconds=rest) if rest else None
                waiting = Waiting(WaitingFor.SOURCE, configuration.name, outage.since, outage.reason, next_try)
                return Fact(waiting, outage.last)
        return None

    def _configuration(self, message: str, config_id: str | None) -> ArchiveTypeConfiguration | None:
        try:
            return self._catalog.now.resolve(message, config_id)
        except ResolveError:
            return None
