"""Probes of what the service needs from others: database, topics, buckets, keys, schemas of messages."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.auth.callers import KeySets
from app.broker import Broker
from app.broker.encoding import Encoding
from app.broker.registry import SchemaRegistry
from app.catalog.registry import Registry
from app.db import dialect, migrations
from app.db.connect import Unusable
from app.db.database import Database, PoolerNotNamed
from app.domain.errors import NotPrepared, StartRefused, Unavailable
from app.domain.readiness import BROKER, DATABASE, ISSUER, OBJECT_STORE, SCHEMA_REGISTRY, Readiness, topic_named
from app.objectstore import ObjectStore
from app.outages import note_available, note_outage
from app.process.watch import Probe

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Probes:
    """The probe of each component. `prepare_database` is called until it succeeded once."""

    topics: Sequence[str]
    buckets: Sequence[str]
    database: Database
    broker: Broker
    objects: ObjectStore
    registry: Registry
    key_sets: KeySets
    readiness: Readiness
    prepare_database: Callable[[], Awaitable[None]]
    schemas: Probe | None = None
    """The probe of the schema registry, where there is one."""
    spared: Sequence[str] = ()
    """Those of `topics` that no job waits for, once all were there."""
    live_topics: Callable[[], Collection[str]] = frozenset
    """The topics of live archive types, and of their dead letters: no other work waits for them."""
    _missing_live: set[str] = field(default_factory=set)
    """Those that are named as missing."""

    def by_component(self) -> dict[str, Probe]:
        """Each returns where the component is as it should be, and raises Unavailable where not."""
        probes: dict[str, Probe] = {
            DATABASE: self.look_at_database,
            BROKER: self.look_at_topics,
            OBJECT_STORE: self.look_at_buckets,
            ISSUER: self.look_at_keys,
        }
        if self.schemas is not None:
            probes[SCHEMA_REGISTRY] = self.schemas
        return probes

    async def look_at_database(self) -> None:
        if self.readiness.has_seen(DATABASE):
            await self.database.ping()
        else:
            await self.prepare_database()

    async def look_at_topics(self) -> None:
        live = [topic for topic in self.live_topics() if topic not in self.topics]
        missing = await self.broker.missing_topics([*self.topics, *live])
        self._note_live(live, missing)
        missing = [topic for topic in missing if topic in self.topics]
        if self.readiness.has_seen(BROKER):
            for topic in (each for each in missing if each in self.spared):
                if self.readiness.outage(topic_named(topic)) is None:  # who sends to it may have said more
                    why = "it is missing; create it, or set create-topics"
                    note_outage(self.readiness, Unavailable(topic_named(topic), why))
            missing = [topic for topic in missing if topic not in self.spared]
        if missing:
            raise Unavailable(BROKER, f"missing topic: {', '.join(missing)}; create it, or set create-topics")

    def _note_live(self, live: Collection[str], missing: Collection[str]) -> None:
        for topic in live:
            if topic in missing:
                self._missing_live.add(topic)
                note_outage(
                    self.readiness, Unavailable(topic_named(topic), "it is missing; live archiving waits for it")
                )
        for topic in self._missing_live - ({*live} & {*missing}):  # also those that are no longer configured
            self._missing_live.remove(topic)
            note_available(self.readiness, topic_named(topic))

    async def look_at_buckets(self) -> None:
        if self.readiness.has_seen(OBJECT_STORE):
            await self.objects.check(self.buckets)
            return

        async def prepare(connection: AsyncConnection) -> None:
            await dialect.lock(connection, dialect.LOCK_LIFECYCLE)
            await self.objects.prepare(self.buckets, self.registry.types())

        try:
            await self.database.run(prepare)
        except Unavailable as outage:
            if outage.component != OBJECT_STORE:
                await self.objects.check(
                    self.buckets
                )  # without the database and its lock the state of the store can still be checked
            raise

    async def look_at_keys(self) -> None:
        keys = self.key_sets
        while keys.reason() is not None and keys.problem() is None:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.05)  # the first fetch is under way
        reason = keys.reason() or keys.problem()
        if reason is not None:
            raise Unavailable(ISSUER, reason)


def probe_of_schemas(registry: SchemaRegistry, encoding: Encoding) -> Probe:
    """Checks that the registry answers and has the schemas of our messages; registers missing ones where that is
    allowed."""

    async def look_at_schemas() -> None:
        await registry.ping()
        await encoding.prepare()

    return look_at_schemas


OLDER = "the database is older than this release: run `pas migrate`, or start with --migrate"

PREPARING = "is being prepared: its tables are brought to this release"

AT_ONCE = 3.0
"""Seconds in which a reachable database answers."""


async def refuse_unusable(database: Database, *, migrate: bool) -> None:
    """Refuses the start, before anything listens, when the database cannot be used.

    That is a database with tables of other software, or an older one that this process may not migrate. A database that
    does not answer at once is probed later. A database that will be migrated refuses all queries until then. Raises
    StartRefused.
    """
    try:
        async with asyncio.timeout(AT_ONCE):
            await _check_pooler(database)
            standing = await migrations.standing(database)
    except Unusable as found:
        raise StartRefused(found.reason) from found
    except (Unavailable, TimeoutError):
        return
    if standing is migrations.Standing.OLDER:
        if not migrate:
            raise StartRefused(OLDER)
        database.close_for(NotPrepared(DATABASE, PREPARING))


async def check_database(database: Database, *, migrate: bool, readiness: Readiness | None = None) -> None:
    """Migrates an older database to this release where that is allowed. Raises StartRefused, Unavailable.

    During the migration, and while the database cannot be used, each query is refused with the reason.
    """
    try:
        await _check_pooler(database)
        standing = await migrations.standing(database)
    except Unusable as found:
        database.close_for(found)
        raise
    if migrate and standing is not migrations.Standing.NEWER:
        if standing is migrations.Standing.OLDER:
            database.close_for(NotPrepared(DATABASE, PREPARING))
            if readiness is not None and readiness.probe_failed(DATABASE, PREPARING):
                log.info("the database %s", PREPARING)
        await migrations.migrate(database)
        standing = await migrations.standing(database)
    match standing:
        case migrations.Standing.OLDER:
            raise StartRefused(OLDER)
        case migrations.Standing.NEWER:
            log.warning("the database was migrated by a newer release; it is used as it is")
        case migrations.Standing.CURRENT:
            pass
    database.close_for(None)


async def _check_pooler(database: Database) -> None:
    try:
        await database.check_pooler()
    except PoolerNotNamed as found:
        database.close_for(found)
        raise
