"""The composition root: opens engine, broker, object store and http, and builds the objects. Settings stop here."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.api.auth.callers import Authenticator, KeySets
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
from app.jobs.retry import Retries
from app.jobs.submit import Submissions
from app.messaging.backfill_metadata import METADATA, BackfillMetadataHandler
from app.messaging.consumer import DEAD_LETTERS, LAST_COMMIT, LEAVE, PUTTING_BACK, CommandLoop
from app.messaging.create_artifact import CreateArtifactHandler
from app.messaging.dead_letters import send_dead_letter
from app.messaging.dispatch import Dispatcher
from app.messaging.owed import Commands
from app.messaging.relay import Relay
from app.messaging.slots import Slots
from app.metadata.backfill import MetadataBackfill
from app.metadata.control import RunControl
from app.metadata.definitions import Definitions
from app.metadata.extract import Extractor
from app.metadata.search import Artifacts
from app.objectstore import ObjectStore
from app.process import adapters
from app.process.check_config import load_catalog
from app.process.probes import StartRefused, check_database, looks, refuse_older
from app.process.reload import Reload, digest
from app.process.watch import Watch
from app.settings.model import Settings
from app.sources.http import SourceClient, open_sources
from app.sources.memory import ByteBudget
from app.sources.oauth import OAuthClientOptions
from app.sources.pacing import Pacers
from app.sources.transport import HttpOptions

LEAVING, CLOSING = LAST_COMMIT + LEAVE, 2.5
"""Seconds of the shutdown timeout that are kept for committing and leaving the group, then for closing everything; half
of it at most. Only servers that are away make them necessary."""

BATCHES_AT_ONCE = 6
"""Batches of metadata runs that a process does at once when it has nothing to archive; more made a run no faster."""

BATCHES_OUT = 100
"""Batches of a run published and not yet answered: enough for many processes. Where archiving leaves little, those in
hand wait, and with them the offsets of all records behind them."""

GARBAGE = 10_000
"""Objects made and not freed that set off a collection, instead of 700: 64 tasks in flight have several thousand."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """What the HTTP edge calls, and `run`: everything that goes on beside requests."""

    database: Database
    submissions: Submissions
    retries: Retries
    job_control: JobControl
    preflights: Preflights
    artifacts: Artifacts
    definitions: Definitions
    run_control: RunControl
    objects: ObjectStore
    yaml_reader: YamlReader
    authenticator: Authenticator
    readiness: Readiness
    run: Callable[[asyncio.Event], Awaitable[None]]
    """Until the event is set, then up to the shutdown timeout. Raises StartRefused or what broke."""


@asynccontextmanager
async def open_service(settings: Settings, *, migrate: bool) -> AsyncIterator[Service]:
    """Everything open, nothing connected yet: what cannot be reached now is waited for by `run`.

    Raises StartRefused for an older database that answers.
    """
    seen = digest(settings.archive_types_location)
    catalog, registry = load_catalog(settings)
    readiness = Readiness((DATABASE, BROKER, OBJECT_STORE, ISSUER))
    async with AsyncExitStack() as stack:
        stack.callback(registry.close)
        database = Database(settings.datasource.url.get_secret_value())
        stack.push_async_callback(database.close)
        if not migrate:
            await refuse_older(database)
        objects = await stack.enter_async_context(adapters.open_object_store(settings))
        broker = adapters.open_broker(settings)
        await broker.start()
        stack.push_async_callback(broker.close)
        yaml_reader = YamlReader()
        stack.push_async_callback(yaml_reader.close)
        key_sets = adapters.key_sets_of(settings)
        window = settings.backfill.window
        relay = _relay(settings, database, broker, readiness, adapters.commands(settings), window)
        run_window = min(window, BATCHES_OUT)
        run_relay = _relay(settings, database, broker, readiness, adapters.run_commands(settings), run_window)
        definitions = Definitions(database, adapters.run_options(settings), run_relay.wake)
        live = LiveCatalog(catalog)
        reload = Reload(settings.archive_types_location, seen, lambda: load_catalog(settings)[0], live, definitions)

        async def prepare_database() -> None:
            await check_database(database, migrate=migrate)
            await definitions.apply(live.now)

        looking = looks(
            adapters.topics_of(settings),
            adapters.target(settings).buckets,
            database,
            broker,
            objects,
            registry,
            key_sets,
            readiness,
            prepare_database,
        )
        watch = Watch(readiness, looking)
        budget = ByteBudget(settings.backfill.max_bytes_in_flight)
        extractor = Extractor(objects, registry, readiness, budget, definitions.of)
        metadata = MetadataBackfill(
            database,
            extractor,
            readiness,
            batch_size=settings.metadata_backfill.batch_size,
            on_settled=lambda: run_relay.settled(1),
        )
        sources = await stack.enter_async_context(_sources(settings, budget))
        work = _command_loop(
            settings, live, registry, database, broker, objects, readiness, relay, sources, extractor, metadata
        )
        relays = [relay, run_relay] if settings.metadata_backfill.enabled else [relay]

        async def run(stop: asyncio.Event) -> None:
            await _run(settings, watch, key_sets, relays, work, reload, stop)

        yield Service(
            database=database,
            submissions=Submissions(database, live, relay.wake),
            retries=Retries(database, live, relay.wake),
            job_control=JobControl(database, relay.wake),
            preflights=Preflights(
                adapters.target(settings),
                sources,
                registry,
                objects,
                locks=settings.object_storage.object_lock_enabled,
            ),
            artifacts=Artifacts(database, lambda: live.now.configurations),
            definitions=definitions,
            run_control=RunControl(database, extractor, adapters.run_options(settings), run_relay.wake),
            objects=objects,
            yaml_reader=yaml_reader,
            authenticator=Authenticator(adapters.resource_server(settings), key_sets),
            readiness=readiness,
            run=run,
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


async def _run(
    settings: Settings,
    watch: Watch,
    key_sets: KeySets,
    relays: Sequence[Relay],
    work: CommandLoop,
    reload: Reload,
    stop: asyncio.Event,
) -> None:
    """The watch and the keys until the end; relays and command loop from when their servers were seen until `stop`."""
    timeout = settings.shutdown_timeout

    async def relaying(relay: Relay) -> None:
        if await watch.seen(stop, DATABASE, BROKER):
            # The topics of the embedded broker do not outlive the process.
            await relay.run(stop, forgotten=settings.embedded)

    async def working() -> None:
        if await watch.seen(stop, DATABASE, BROKER, OBJECT_STORE):
            spare_the_collector()
            await work.run(stop, max(timeout - LEAVING - CLOSING, timeout / 2))

    async def reloading() -> None:
        if await watch.seen(stop, DATABASE):
            await reload.run()

    async def keeping_keys() -> None:
        await key_sets.run()
        await stop.wait()  # keys that never change need no keeping

    stopping = asyncio.create_task(_set(stop))
    begun: list[asyncio.Task[None]] = [asyncio.create_task(relaying(relay)) for relay in relays]
    begun.append(asyncio.create_task(working()))
    always = [asyncio.create_task(watch.run()), asyncio.create_task(keeping_keys())]
    always.append(asyncio.create_task(reloading()))
    try:
        await asyncio.wait({stopping, *begun, *always}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            await asyncio.wait(begun, timeout=max(timeout - CLOSING, timeout * 3 / 4))
        for task in (*begun, *always):
            if task.done():
                task.result()
    except* StartRefused as group:
        raise group.exceptions[0] from None
    finally:
        for task in (stopping, *begun, *always):
            task.cancel()
        await asyncio.gather(stopping, *begun, *always, return_exceptions=True)


def spare_the_collector() -> None:
    """Takes what was loaded so far out of the garbage collector's rounds.

    It stays anyway; looking at all of it again stops the event loop for 150 ms, once a second under load. Called when
    the servers were seen: the first look at the object store loads most, the model of S3.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE, 10, 10)


async def _set(event: asyncio.Event) -> None:
    await event.wait()


def _sources(settings: Settings, budget: ByteBudget) -> AbstractAsyncContextManager[SourceClient]:
    http = settings.http
    return open_sources(
        HttpOptions(http.timeout, http.total_timeout, http.max_response_size),
        [
            OAuthClientOptions(name, c.token_uri, c.client_id, c.client_secret.get_secret_value(), c.scope)
            for name, c in settings.oauth_clients.items()
        ],
        slots=settings.backfill.concurrency,
        budget=budget,
    )


def _command_loop(
    settings: Settings,
    catalog: LiveCatalog,
    registry: Registry,
    database: Database,
    broker: Broker,
    objects: ObjectStore,
    readiness: Readiness,
    relay: Relay,
    sources: SourceClient,
    extractor: Extractor,
    metadata: MetadataBackfill,
) -> CommandLoop:
    backfill = settings.backfill
    records = Records(database, readiness, relay.settled, adapters.failure_threshold(settings))
    archiver = Archiver(
        ArchiverOptions(
            adapters.target(settings), settings.object_storage.object_lock_enabled, adapters.events(settings)
        ),
        catalog,
        registry,
        Fetcher(sources, backfill.retry_backoff),
        objects,
        broker,
        records,
        readiness,
        extractor,
    )
    handler = CreateArtifactHandler(
        records,
        archiver,
        lambda row: source_of(catalog.now, row.message, row.config_id),
        backfill.max_attempts,
    )
    return CommandLoop(
        broker.consumer([backfill.topic], backfill.service_name),
        Dispatcher(
            {
                COMMAND_TYPE: handler,
                RUN_COMMAND_TYPE: BackfillMetadataHandler(database, readiness, metadata),
            },
            backfill.service_name,
        ),
        Slots(backfill.concurrency, _limit(sources.pacers, backfill.concurrency)),
        lambda record, reason: send_dead_letter(broker, readiness, record, reason),
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


def _relay(
    settings: Settings, database: Database, broker: Broker, readiness: Readiness, commands: Commands, window: int
) -> Relay:
    redelivery_after = settings.backfill.redelivery_after
    return Relay(database, broker, readiness, commands, window=window, redelivery_after=redelivery_after)
