"""The outages that this process knows of: of broker, schema registry, object store and sources. Asks nobody."""

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
"""Seconds that an outage of a component lasts before jobs wait for it: a single failed call is repeated sooner."""

COMPONENTS = {
    BROKER: WaitingFor.BROKER,
    SCHEMA_REGISTRY: WaitingFor.SCHEMA_REGISTRY,
    OBJECT_STORE: WaitingFor.OBJECT_STORE,
}


@dataclass(frozen=True, slots=True)
class KnownOutage:
    """An outage as the jobs that wait for its end show it, and when a call last failed (seconds of the monotonic
    clock)."""

    waiting: Waiting
    failed_at: float


class KnownOutages:
    """The present outages, for one archive type after the other. Call `refresh` before each round over the jobs."""

    def __init__(
        self,
        readiness: Readiness,
        catalog: LiveCatalog,
        pacers: SourcePacers,
        outages: Outages,
        registry_holds_tasks: Callable[[], bool] = lambda: False,
    ) -> None:
        """`registry_holds_tasks`: whether tasks wait for the registry. Its outage holds up none whose schema ids are
        known."""
        self._readiness = readiness
        self._catalog = catalog
        self._pacers = pacers
        self._outages = outages
        self._registry_holds_tasks = registry_holds_tasks
        self._began: dict[str, float] = {}
        """Component with a problem → since when no call to it succeeds."""
        self._ended: dict[str, float] = {}
        """Component → when its last problem was found to be over."""
        self._components: dict[str, KnownOutage] = {}
        self._by_type: dict[str, KnownOutage | None] = {}
        """Archive type → outage of its source, filled by `of_job` since the last `refresh`."""
        self.sources: Sequence[Outage] = ()
        """Outages of the sources that archive types have now: what the file has no more is asked by nobody."""

    def refresh(self) -> None:
        self._by_type = {}
        self.sources = [outage for outage in self._outages.current() if self._present(outage)]
        self._components = {name: outage for name in COMPONENTS if (outage := self._component(name)) is not None}

    @property
    def any(self) -> bool:
        return bool(self.sources or self._components)

    def of_job(self, message: str, config_id: str | None) -> KnownOutage | None:
        """The outage that a job of this archive type waits for.

        A task needs broker and schema registry first, then its source, then the object store: the first outage in this
        order counts.
        """
        messages = self._components.get(BROKER) or self._components.get(SCHEMA_REGISTRY)
        store = self._components.get(OBJECT_STORE)
        if messages is not None or not self.sources:
            return messages or store
        return self._source(message, config_id) or store

    def names(self, outage: Outage) -> list[str]:
        """Of the archive types that met it and still have this source, as people know them; where none of them does,
        of all that have it."""
        catalog, present = self._catalog.now, self._present(outage)
        met = [each for each in present if each.name in outage.names]
        return [catalog.name_of(each) for each in met or present]

    def _present(self, outage: Outage) -> list[ArchiveTypeConfiguration]:
        """The present archive types that have this source."""
        configurations = self._catalog.now.configurations
        return [each for each in configurations if each.is_remote_data and way_of(each) == outage.way]

    def has_got_through(self, message: str, config_id: str | None, waiting: Waiting, since: float) -> bool:
        """Whether a call of this process, made after `since`, reached what the job waits for."""
        if waiting.for_ is WaitingFor.SOURCE:
            configuration = self._configuration(message, config_id)
            return configuration is not None and self._outages.answered_since(way_of(configuration), since)
        if waiting.for_ is WaitingFor.SCHEMA_REGISTRY:
            return not self._registry_holds_tasks()
        worked = self._readiness.worked_at(waiting.name)
        return max(worked, self._ended.get(waiting.name, worked)) > since

    def _component(self, name: str) -> KnownOutage | None:
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
        return KnownOutage(Waiting(COMPONENTS[name], name, since, reason, None), self._readiness.failed_at(name))

    def _source(self, message: str, config_id: str | None) -> KnownOutage | None:
        configuration = self._configuration(message, config_id)
        if configuration is None:
            return None
        if configuration.name not in self._by_type:
            self._by_type[configuration.name] = self._of_source(configuration)
        return self._by_type[configuration.name]

    def _of_source(self, configuration: ArchiveTypeConfiguration) -> KnownOutage | None:
        way = way_of(configuration)
        for outage in self.sources:
            if outage.way == way:
                rest = self._pacers.of(outage.source).rest
                next_try = datetime.now(UTC) + timedelta(seconds=rest) if rest else None
                name = self._catalog.now.name_of(configuration)
                waiting = Waiting(WaitingFor.SOURCE, name, outage.since, outage.reason, next_try)
                return KnownOutage(waiting, outage.last)
        return None

    def _configuration(self, message: str, config_id: str | None) -> ArchiveTypeConfiguration | None:
        try:
            return self._catalog.now.resolve(message, config_id)
        except ResolveError:
            return None
