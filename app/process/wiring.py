"""The composition root: opens engine, broker, object store and http, and builds the objects. Settings stop here."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.api.auth.callers import Authenticator, KeySets
from app.api.edge import Edge
from app.api.http.bodies import Uploads
from app.api.http.event_streams import EventStreams
from app.api.http.turns import CHANGES, PREFLIGHTS, Turns
from app.api.submission.reader import YamlReader
from app.archiver.fetch import Fetcher
from app.archiver.pipeline import Archiver, ArchiverOptions
from app.archiver.preflight import Preflights
from app.archiver.records import Records
from app.archiver.resolve import source_of
from app.broker import Broker
from app.broker.messages import COMMAND_TYPE, RUN_COMMAND_TYPE
from app.catalog.live import LiveCatalog
from app.catalog.registry import Registry, load_registry
from app.db.database import Database
from app.domain.readiness import BROKER, DATABASE, ISSUER, OBJECT_STORE, Readiness
from app.jobs.control import JobControl
from app.jobs.report import Reports
from app.jobs.retry import Retries
from app.jobs.submit import Submissions
from app.messaging.backfill_metadata import METADATA, BackfillMetadataHandler
from app.messaging.consumer import DEAD_LETTERS, PUTTING_BACK, CommandLoop
from app.messaging.create_artifact import CreateArtifactHandler
from app.messaging.dead_letters import send_dead_letter
from app.messaging.dispatch import Dispatcher
from app.messaging.relay import Relay
from app.messaging.slots import Slots
from app.metadata.backfill import MetadataBackfill
from app.metadata.content import Contents
from app.metadata.control import RunControl
from app.metadata.definitions import Definitions
from app.metadata.extract import Extractor
from app.metadata.search import Artifacts
from app.objectstore import ObjectStore
from app.process import adapters
from app.process.check_config import load_catalog
from app.process.probes import StartRefused, check_database, looks, refuse_unusable
from app.process.reload import Reload, digest
from app.process.supervision import Supervision
from app.process.watch import Look, Watch
from app.settings.model import Settings
from app.sources.http import SourceClient, open_sources
from app.sources.memory import ByteBudget
from app.sources.pacing import Pacers

BATCHES_AT_ONCE = 6
"""Batches of metadata runs that a process does at once when it has nothing to archive; more made a run no faster."""

BATCHES_OUT = 100
"""Batches of a run published and not yet answered: enough for many processes. Where archiving leaves little, those in
hand wait, and with them the offsets of all records behind them."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """What the HTTP edge calls, and `run`: everything that goes on beside requests."""

    edge: Edge
    readiness: Readiness
    run: Callable[[asyncio.Event], Awaitable[None]]
    """Until the event is set, then up to the shutdown timeout. Raises StartRefused or what broke."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What several objects are built of: the connections of the process, and what its files say."""

    settings: Settings
    catalog: LiveCatalog
    registry: Registry
    database: Database
    broker: Broker
    objects: ObjectStore
    sources: SourceClient
    readiness: Readiness
    extractor: Extractor


@asynccontextmanager
async def open_service(settings: Settings, *, migrate: bool) -> AsyncIterator[Service]:
    """Everything open, nothing connected yet: what cannot be reached now is waited for by `run`.

    Raises StartRefused for a database that answers and is older, or not for us.
    """
    seen = digest(settings.archive_types_location)
    catalog, registry = load_catalog(settings)
    readiness = Readiness((DATABASE, BROKER, OBJECT_STORE, ISSUER))
    live = LiveCatalog(catalog)
    async with AsyncExitStack() as stack:
        stack.callback(registry.close)
        database = Database(settings.datasource.url.get_secret_value())
        stack.push_async_callback(database.close)
        await refuse_unusable(database, migrate=migrate)
        objects = await stack.enter_async_context(adapters.open_object_store(settings))
        broker = adapters.open_broker(settings)
        await broker.start()
        stack.push_async_callback(broker.close)
        yaml_reader = YamlReader()
        stack.push_async_callback(yaml_reader.close)
        budget = ByteBudget(settings.backfill.max_bytes_in_flight)
        sources = await stack.enter_async_context(_sources(settings, budget))
        run_relay = _run_relay(settings, database, broker, readiness)
        definitions = Definitions(database, adapters.run_options(settings), run_relay.wake)
        extractor = Extractor(objects, registry, readiness, budget, definitions.of)
        parts = Parts(settings, live, registry, database, broker, objects, sources, readiness, extractor)
        relay = _relay(parts)
        key_sets = adapters.key_sets_of(settings)
        reload = Reload(settings.archive_types_location, seen, lambda: load_catalog(settings)[0], live, definitions)

        async def prepare_database() -> None:
            await check_database(database, migrate=migrate, readiness=readiness)
            await definitions.apply(live.now)

        supervision = Supervision(
            Watch(readiness, _probes(parts, key_sets, prepare_database), refusal=StartRefused),
            key_sets,
            [relay, run_relay] if settings.metadata_backfill.enabled else [relay],
            _command_loop(parts, relay, _metadata(parts, run_relay)),
            reload,
            settings.shutdown_timeout,
            relays_forget=settings.embedded,
        )
        yield Service(
            Edge(
                authenticator=Authenticator(adapters.resource_server(settings), key_sets),
                submissions=Submissions(database, live, relay.wake),
                reports=Reports(database),
                job_control=JobControl(database, relay.wake),
                retries=Retries(database, live, relay.wake),
                preflights=_preflights(parts),
                artifacts=Artifacts(database, lambda: live.now.configurations),
                contents=Contents(objects),
                run_control=RunControl(database, extractor, adapters.run_options(settings), run_relay.wake),
                yaml_reader=yaml_reader,
                uploads=Uploads(settings.backfill.max_body_size),
                event_streams=EventStreams(readiness),
                changes=Turns("changes of jobs", CHANGES, waiting=10),
                preflight_turns=Turns("preflights", PREFLIGHTS, waiting=0),
                max_references=settings.backfill.max_references,
                max_attempts=settings.backfill.max_attempts,
                issuers=adapters.issuers_of(settings),
                cli_client_id=settings.cli_client_id,
            ),
            readiness,
            supervision.run,
        )


def _probes(parts: Parts, key_sets: KeySets, prepare_database: Callable[[], Awaitable[None]]) -> dict[str, Look]:
    return looks(
        adapters.topics_of(parts.settings),
        adapters.target(parts.settings).buckets,
        parts.database,
        parts.broker,
        parts.objects,
        parts.registry,
        key_sets,
        parts.readiness,
        prepare_database,
    )


def _preflights(parts: Parts) -> Preflights:
    locks = parts.settings.object_storage.object_lock_enabled
    return Preflights(adapters.target(parts.settings), parts.sources, parts.registry, parts.objects, locks=locks)


def _metadata(parts: Parts, run_relay: Relay) -> MetadataBackfill:
    return MetadataBackfill(
        parts.database,
        parts.extractor,
        parts.readiness,
        batch_size=parts.settings.metadata_backfill.batch_size,
        on_settled=lambda: run_relay.settled(1),
    )


@dataclass(frozen=True, slots=True)
class StoredArchive:
    """What is archived, to be read back; `name` tells archives apart and holds no secret."""

    name: str
    database: Database
    objects: ObjectStore
    buckets: tuple[str, ...]
    systems: tuple[str, ...]
    """`<system>/<type>` of the registry: what keys of objects begin with, behind their prefix."""


@asynccontextmanager
async def open_stored(settings: Settings) -> AsyncIterator[StoredArchive]:
    """Database and object store alone: neither broker nor issuers, and beside a service that runs.

    Raises StartRefused, CatalogError where the registry cannot be read, Unavailable.
    """
    if not settings.backfill.enabled:
        raise StartRefused("backfill is not enabled: there is no database to compare with")
    if settings.data_dir is not None and not (settings.data_dir / "pas.sqlite").exists():
        raise StartRefused(f"{settings.data_dir} holds no database: nothing was archived there")
    url = settings.datasource.url.get_secret_value()
    address = urlsplit(url)
    types = load_registry(settings.registry_location).types()
    systems = tuple(sorted({f"{each.schema.system}/{each.schema.name}" for each in types}))
    async with AsyncExitStack() as stack:
        database = Database(url, pool_size=2)
        stack.push_async_callback(database.close)
        objects = await stack.enter_async_context(adapters.open_object_store(settings))
        await check_database(database, migrate=False)
        name = f"{address.netloc.rpartition('@')[2]}{address.path}"
        yield StoredArchive(name, database, objects, adapters.target(settings).buckets, systems)


def _sources(settings: Settings, budget: ByteBudget) -> AbstractAsyncContextManager[SourceClient]:
    return open_sources(
        adapters.http_options(settings),
        adapters.oauth_clients(settings),
        slots=settings.backfill.concurrency,
        budget=budget,
    )


def _command_loop(parts: Parts, relay: Relay, metadata: MetadataBackfill) -> CommandLoop:
    settings, backfill, readiness = parts.settings, parts.settings.backfill, parts.readiness
    records = Records(parts.database, readiness, relay.settled, adapters.failure_threshold(settings))
    archiver = Archiver(
        ArchiverOptions(
            adapters.target(settings), settings.object_storage.object_lock_enabled, adapters.events(settings)
        ),
        parts.catalog,
        parts.registry,
        Fetcher(parts.sources, backfill.retry_backoff, backfill.source_patience),
        parts.objects,
        parts.broker,
        records,
        readiness,
        parts.extractor,
    )
    handler = CreateArtifactHandler(
        records,
        archiver,
        lambda row: source_of(parts.catalog.now, row.message, row.config_id),
        backfill.max_attempts,
    )
    return CommandLoop(
        parts.broker.consumer([backfill.topic], backfill.service_name),
        Dispatcher(
            {
                COMMAND_TYPE: handler,
                RUN_COMMAND_TYPE: BackfillMetadataHandler(parts.database, readiness, metadata),
            },
            backfill.service_name,
        ),
        Slots(backfill.concurrency, _limit(parts.sources.pacers, backfill.concurrency)),
        lambda record, reason: send_dead_letter(parts.broker, readiness, record, reason),
        readiness,
    )


def _limit(pacers: Pacers, slots: int) -> Callable[[str, bool], int]:
    """How many slots a lane may have: as its source takes them; what asks no source shares a few."""

    def limit(lane: str, others_have_work: bool) -> int:
        if lane == METADATA:  # what archiving leaves
            return 1 if others_have_work else max(1, min(BATCHES_AT_ONCE, slots // 4))
        if lane in (DEAD_LETTERS, PUTTING_BACK, ""):
            return max(1, slots // 4) if lane == DEAD_LETTERS else slots
        return pacers.limit(lane, others_have_work, slots)

    return limit


def _relay(parts: Parts) -> Relay:
    backfill = parts.settings.backfill
    return Relay(
        parts.database,
        parts.broker,
        parts.readiness,
        adapters.commands(parts.settings),
        window=backfill.window,
        redelivery_after=backfill.redelivery_after,
    )


def _run_relay(settings: Settings, database: Database, broker: Broker, readiness: Readiness) -> Relay:
    backfill = settings.backfill
    return Relay(
        database,
        broker,
        readiness,
        adapters.run_commands(settings),
        window=min(backfill.window, BATCHES_OUT),
        redelivery_after=backfill.redelivery_after,
    )
