"""The state of the service: what this process knows itself, and what the database has of all processes."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from app.catalog.archive_types import Catalog
from app.catalog.live import LiveCatalog
from app.db import dead_letters, dialect, due, jobs, occupancy, processes
from app.db.database import Database
from app.db.outbox import Outbox
from app.domain.errors import Unavailable
from app.domain.readiness import Readiness
from app.domain.system import CommandCounts, DatabaseState, KnownProcess, SourceState, SystemState
from app.sources.pacing import SourcePacers
from app.sources.patience import Way, way_of
from app.system.processes import Presence

IN_TIME = 3.0
"""Seconds that the database has to answer: the person who asks may be looking for a problem of the database."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Overview:
    """`outboxes`: each outbox that a relay publishes, with the window of its owners."""

    database: Database
    readiness: Readiness
    catalog: LiveCatalog
    pacers: SourcePacers
    commands: Callable[[], CommandCounts]
    presence: Presence
    outboxes: Sequence[tuple[Outbox, int]]

    async def now(self) -> SystemState:
        """The present state; works without the database too."""
        recorded = await self._recorded()
        return SystemState(
            components=self.readiness.conditions,
            sources=sources_of(self.catalog.now, self.pacers),
            commands=self.commands(),
            recorded=recorded,
            configuration=self.readiness.configuration,
            release=self.presence.release,
            processes=self._with_this([] if recorded is None else recorded.processes),
        )

    def _with_this(self, others: Sequence[KnownProcess]) -> Sequence[KnownProcess]:
        """Adds this process where its row is missing: the row is not written yet, or the database is unavailable."""
        if any(each.id == self.presence.id for each in others):
            return others
        return sorted([*others, self.presence.seen_now()], key=lambda each: (each.started_at, each.id))

    async def _recorded(self) -> DatabaseState | None:
        try:
            async with asyncio.timeout(IN_TIME):
                return await self._read()
        except (Unavailable, TimeoutError) as outage:
            log.debug("the database does not tell what it knows of the service: %s", outage)
            return None

    async def _read(self) -> DatabaseState:
        size = await self._size()
        async with self.database.reading() as connection:
            now = datetime.now(UTC)
            counts = [await due.count_due(connection, box, now, window) for box, window in self.outboxes]
            return DatabaseState(
                due=sum(counts),
                waiting_jobs=await jobs.count_waiting(connection),
                dead_letters=await dead_letters.total(connection),
                version=await occupancy.revision(connection),
                size=size,
                processes=await processes.running(connection),
            )

    async def _size(self) -> int | None:
        """The bytes of the database; None when the role of the service may not ask for them."""
        try:
            async with self.database.reading() as connection:
                return await dialect.size(connection)
        except Unavailable as refused:
            log.debug("the database does not tell its size: %s", refused)
            return None


def sources_of(catalog: Catalog, pacers: SourcePacers) -> list[SourceState]:
    """Each source with each OAuth client, in the order of the configurations."""
    named: dict[Way, list[str]] = {}
    for each in catalog.configurations:
        if each.is_remote_data:
            named.setdefault(way_of(each), []).append(catalog.name_of(each))
    return [_source(", ".join(names), way, pacers) for way, names in named.items()]


def _source(name: str, way: Way, pacers: SourcePacers) -> SourceState:
    address, client = way
    pacer, now = pacers.of(address), datetime.now(UTC)
    failure = pacer.last_failure(client)
    return SourceState(
        name=name,
        client=client,
        limit=pacer.limit,
        in_flight=pacer.in_flight,
        rest_until=now + timedelta(seconds=pacer.rest) if pacer.rest else None,
        last_failure=None if failure is None else failure.cause,
        last_failure_at=None if failure is None else now - timedelta(seconds=failure.ago),
    )
