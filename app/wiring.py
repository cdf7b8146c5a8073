"""The composition root: opens engine, broker, object store and http, and builds the objects. Settings stop here."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.auth import Authenticator, IssuerOptions, KeySets, ResourceServerOptions
from app.api.dev_issuer import open_issuer
from app.api.yaml_reader import YamlReader
from app.archiver.announce import EventOptions
from app.archiver.describe import Target
from app.archiver.fetch import Fetcher
from app.archiver.pipeline import Archiver, ArchiverOptions
from app.archiver.records import Records
from app.archiver.resolve import source_of
from app.broker import Broker
from app.broker.embedded import EmbeddedBroker
from app.broker.kafka import KafkaBroker, KafkaOptions
from app.broker.messages import COMMAND_TYPE, RUN_COMMAND_TYPE
from app.catalog.live import LiveCatalog
from app.catalog.registry import Registry
from app.check_config import load_catalog
from app.db import dialect, migrations
from app.db.database import Database
from app.domain.errors import Unavailable
from app.domain.readiness import BROKER, DATABASE, ISSUER, OBJECT_STORE, Readiness
from app.jobs.submit import Submissions
from app.messaging.backfill_metadata import METADATA, BackfillMetadataHandler
from app.messaging.consumer import DEAD_LETTERS, PUTTING_BACK, CommandLoop
from app.messaging.create_artifact import CreateArtifactHandler
from app.messaging.dead_letters import dead_letter_topic, send_dead_letter
from app.messaging.dispatch import Dispatcher
from app.messaging.owed import BackfillMetadataCommands, Commands, CreateArtifactCommands
from app.messaging.relay import Relay
from app.messaging.slots import Slots
from app.metadata.backfill import MetadataBackfill
from app.metadata.control import RunControl
from app.metadata.definitions import Definitions, RunOptions
from app.metadata.extract import Extractor
from app.metadata.search import Artifacts
from app.objectstore import ObjectStore
from app.objectstore.filesystem import FilesystemObjectStore
from app.objectstore.s3 import S3Options, open_s3
from app.reload import Reload, digest
from app.settings import Settings
from app.sources.http import open_sources
from app.sources.oauth import OAuthClientOptions
from app.sources.pacing import Pacers
from app.sources.transport import HttpOptions
from app.watch import Watch

SHUTDOWN_RESERVE = 3.0
"""Seconds of the shutdown timeout that are kept for committing, leaving the group and closing."""

log = logging.getLogger(__name__)


class StartRefused(Exception):
    """The service cannot run like this; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Service:
    """What the HTTP edge calls, and `run`: everything that goes on beside requests."""

    database: Database
    submissions: Submissions
    artifacts: Artifacts
    definitions: Definitions
    run_control: RunControl
    objects: ObjectStore
    relay: Relay
    run_relay: Relay
    yaml_reader: YamlReader
    authenticator: Authenticator
    readiness: Readiness
    run: Callable[[asyncio.Event], Awaitable[None]]
    """Until the event is set, then up to the shutdown timeout. Raises StartRefused or what broke."""


@asynccontextmanager
async def open_service(settings: Settings, *, migrate: bool) -> AsyncIterator[Service]:
    """Everything open, nothing connected yet: what cannot be reached now is waited for by `run`."""
    seen = digest(settings.archive_types_location)
    catalog, registry = load_catalog(settings)
    readiness = Readiness((DATABASE, BROKER, OBJECT_STORE, ISSUER))
    async with AsyncExitStack() as stack:
        stack.callback(registry.close)
        database = Database(settings.datasource.url.get_secret_value())
        stack.push_async_callback(database.close)
        objects = await stack.enter_async_context(_open_object_store(settings))
        broker = _broker(settings)
        await broker.start()
        stack.push_async_callback(broker.close)
        yaml_reader = YamlReader()
        stack.push_async_callback(yaml_reader.close)
        key_sets = _key_sets(settings)
        relay = _relay(settings, database, broker, readiness, _commands(settings))
        run_relay = _relay(settings, database, broker, readiness, _run_commands(settings))
        definitions = Definitions(database, _run_options(settings), run_relay.wake)
        live = LiveCatalog(catalog)
        reload = Reload(settings.archive_types_location, seen, lambda: load_catalog(settings)[0], live, definitions)

        async def prepare_database() -> None:
            await check_database(database, migrate=migrate)
            await definitions.apply(live.now)

        watch = _watch(settings, database, broker, objects, registry, key_sets, readiness, prepare_database)
        extractor = Extractor(objects, registry, readiness, definitions.of)
        metadata = MetadataBackfill(
            database,
            extractor,
            readiness,
            batch_size=settings.metadata_backfill.batch_size,
            on_due=run_relay.wake,
        )
        work = await stack.enter_async_context(
            _command_loop(settings, live, registry, database, broker, objects, readiness, relay, extractor, metadata)
        )
        relays = [relay, run_relay] if settings.metadata_backfill.enabled else [relay]

        async def run(stop: asyncio.Event) -> None:
            await _run(settings, watch, key_sets, relays, work, reload, stop)

        yield Service(
            database=database,
            submissions=Submissions(database, live, relay.wake),
            artifacts=Artifacts(database, lambda: live.now.configurations),
            definitions=definitions,
            run_control=RunControl(database, extractor, _run_options(settings), run_relay.wake),
            run_relay=run_relay,
            objects=objects,
            relay=relay,
            yaml_reader=yaml_reader,
            authenticator=Authenticator(_resource_server(settings), key_sets),
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


@asynccontextmanager
async def open_stored(settings: Settings) -> AsyncIterator[StoredArchive]:
    """Database and object store alone: neither broker nor issuers, and beside a service that runs.

    Raises StartRefused, Unavailable.
    """
    if not settings.backfill.enabled:
        raise StartRefused("backfill is not enabled: there is no database to compare with")
    if settings.data_dir is not None and not (settings.data_dir / "pas.sqlite").exists():
        raise StartRefused(f"{settings.data_dir} holds no database: nothing was archived there")
    url = settings.datasource.url.get_secret_value()
    address = urlsplit(url)
    async with AsyncExitStack() as stack:
        database = Database(url, pool_size=2)
        stack.push_async_callback(database.close)
        objects = await stack.enter_async_context(_open_object_store(settings))
        await check_database(database, migrate=False)
        name = f"{address.netloc.rpartition('@')[2]}{address.path}"
        yield StoredArchive(name, database, objects, _target(settings).buckets)


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

    async def relaying(relay: Relay) -> None:
        if await watch.seen(stop, DATABASE, BROKER):
            # The topics of the embedded broker do not outlive the process.
            await relay.run(stop, forgotten=settings.embedded)

    async def working() -> None:
        if await watch.seen(stop, DATABASE, BROKER, OBJECT_STORE):
            await work.run(stop, max(0.0, settings.shutdown_timeout - SHUTDOWN_RESERVE))

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
            await asyncio.wait(begun, timeout=settings.shutdown_timeout)
        for task in (*begun, *always):
            if task.done():
                task.result()
    except* StartRefused as group:
        raise group.exceptions[0] from None
    finally:
        for task in (stopping, *begun, *always):
            task.cancel()
        await asyncio.gather(stopping, *begun, *always, return_exceptions=True)


async def _set(event: asyncio.Event) -> None:
    await event.wait()


def _watch(
    settings: Settings,
    database: Database,
    broker: Broker,
    objects: ObjectStore,
    registry: Registry,
    key_sets: KeySets,
    readiness: Readiness,
    prepare_database: Callable[[], Awaitable[None]],
) -> Watch:
    topics = _topics(settings)
    buckets = _target(settings).buckets

    async def look_at_database() -> None:
        if readiness.has_seen(DATABASE):
            await database.ping()
        else:
            await prepare_database()

    async def look_at_topics() -> None:
        missing = await broker.missing_topics(topics)
        if missing:
            raise Unavailable(BROKER, f"missing topic: {', '.join(missing)}; create it, or set create-topics")

    async def look_at_buckets() -> None:
        if readiness.has_seen(OBJECT_STORE):
            await objects.check(buckets)
            return

        async def prepare(connection: AsyncConnection) -> None:
            await dialect.lock(connection, dialect.LOCK_LIFECYCLE)
            await objects.prepare(buckets, registry.types())

        await database.run(prepare)

    async def look_at_keys() -> None:
        while key_sets.reason() is not None and key_sets.problem() is None:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.05)  # the first fetch is under way
        reason = key_sets.reason() or key_sets.problem()
        if reason is not None:
            raise Unavailable(ISSUER, reason)

    return Watch(
        readiness,
        {
            DATABASE: look_at_database,
            BROKER: look_at_topics,
            OBJECT_STORE: look_at_buckets,
            ISSUER: look_at_keys,
        },
    )


async def check_database(database: Database, *, migrate: bool) -> None:
    """Brings an older database to this release where allowed. Raises StartRefused, Unavailable."""
    if migrate:
        await migrations.migrate(database)
    match await migrations.standing(database):
        case migrations.Standing.OLDER:
            raise StartRefused("the database is older than this release: run `pas migrate`, or start with --migrate")
        case migrations.Standing.NEWER:
            log.warning("the database was migrated by a newer release; it is used as it is")


@asynccontextmanager
async def _command_loop(
    settings: Settings,
    catalog: LiveCatalog,
    registry: Registry,
    database: Database,
    broker: Broker,
    objects: ObjectStore,
    readiness: Readiness,
    relay: Relay,
    extractor: Extractor,
    metadata: MetadataBackfill,
) -> AsyncIterator[CommandLoop]:
    backfill = settings.backfill
    http = settings.http
    async with open_sources(
        HttpOptions(http.timeout, http.total_timeout, http.max_response_size),
        [
            OAuthClientOptions(name, c.token_uri, c.client_id, c.client_secret.get_secret_value(), c.scope)
            for name, c in settings.oauth_clients.items()
        ],
        slots=backfill.concurrency,
        max_bytes_in_flight=backfill.max_bytes_in_flight,
    ) as client:
        records = Records(database, readiness, relay.settled)
        archiver = Archiver(
            ArchiverOptions(_target(settings), settings.object_storage.object_lock_enabled, _events(settings)),
            catalog,
            registry,
            Fetcher(client, backfill.retry_backoff),
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
        yield CommandLoop(
            broker.consumer([backfill.topic], backfill.service_name),
            Dispatcher(
                {
                    COMMAND_TYPE: handler,
                    RUN_COMMAND_TYPE: BackfillMetadataHandler(database, readiness, metadata),
                },
                backfill.service_name,
            ),
            Slots(backfill.concurrency, _limit(client.pacers, backfill.concurrency)),
            lambda record, reason: send_dead_letter(broker, readiness, record, reason),
            readiness,
        )


def _limit(pacers: Pacers, slots: int) -> Callable[[str, bool], int]:
    """How many slots a lane may have: as its source takes them; what asks no source shares a few."""

    def limit(lane: str, others_have_work: bool) -> int:
        if lane == METADATA:  # what archiving leaves
            return 1 if others_have_work else max(1, slots // 4)
        if lane in (DEAD_LETTERS, PUTTING_BACK, ""):
            return max(1, slots // 4) if lane == DEAD_LETTERS else slots
        return pacers.limit(lane, others_have_work, slots)

    return limit


def _relay(settings: Settings, database: Database, broker: Broker, readiness: Readiness, commands: Commands) -> Relay:
    backfill = settings.backfill
    return Relay(
        database, broker, readiness, commands, window=backfill.window, redelivery_after=backfill.redelivery_after
    )


def _commands(settings: Settings) -> CreateArtifactCommands:
    backfill = settings.backfill
    return CreateArtifactCommands(backfill.topic, backfill.system_name, backfill.service_name)


def _run_commands(settings: Settings) -> BackfillMetadataCommands:
    backfill = settings.backfill
    return BackfillMetadataCommands(backfill.topic, backfill.system_name, backfill.service_name)


def _run_options(settings: Settings) -> RunOptions:
    options = settings.metadata_backfill
    return RunOptions(options.enabled, options.batch_size, options.all_versions)


def _topics(settings: Settings) -> Sequence[str]:
    topic = settings.backfill.topic
    events = [settings.archived_artifact.event_topic] if settings.archived_artifact.enabled else []
    return [topic, dead_letter_topic(topic), *events]


def _events(settings: Settings) -> EventOptions | None:
    if not settings.archived_artifact.enabled:
        return None
    return EventOptions(
        topic=settings.archived_artifact.event_topic,
        system=settings.archived_artifact.system_name,
        service=settings.kafka.service_name or settings.backfill.service_name,
    )


def _target(settings: Settings) -> Target:
    storage = settings.object_storage.storage
    return Target(
        bucket=storage.bucket,
        prefix_mode=storage.prefix_mode,
        allowed_buckets=frozenset(storage.allowed_buckets),
        allowed_prefixes=frozenset(prefix.strip("/") for prefix in storage.allowed_prefixes),
    )


def _broker(settings: Settings) -> Broker:
    if settings.data_dir is not None:
        return EmbeddedBroker(settings.data_dir, {settings.backfill.topic})
    kafka = settings.kafka
    return KafkaBroker(
        KafkaOptions(
            bootstrap_servers=kafka.bootstrap_servers,
            client_id=settings.backfill.service_name,
            security_protocol=kafka.security_protocol,
            sasl_mechanism=kafka.sasl_mechanism or "PLAIN",
            sasl_username=kafka.username,
            sasl_password=None if kafka.password is None else kafka.password.get_secret_value(),
            ssl_ca_file=None if kafka.ssl_ca_file is None else str(kafka.ssl_ca_file),
            ssl_cert_file=None if kafka.ssl_cert_file is None else str(kafka.ssl_cert_file),
            ssl_key_file=None if kafka.ssl_key_file is None else str(kafka.ssl_key_file),
            ssl_key_password=None if kafka.ssl_key_password is None else kafka.ssl_key_password.get_secret_value(),
            create_topics=kafka.create_topics,
        )
    )


@asynccontextmanager
async def _open_object_store(settings: Settings) -> AsyncIterator[ObjectStore]:
    store = settings.object_storage
    if settings.data_dir is not None:
        files = FilesystemObjectStore(settings.data_dir / "objects", store.object_lock_enabled)
        try:
            yield files
        finally:
            await files.close()
        return
    connection = store.connection
    options = S3Options(
        access_url=connection.access_url,
        region=connection.region,
        access_key=connection.access_key,
        secret_key=None if connection.secret_key is None else connection.secret_key.get_secret_value(),
        object_lock_enabled=store.object_lock_enabled,
        object_lock_mode=store.object_lock_mode,
        create_bucket=store.storage.create_bucket,
        connections=settings.backfill.concurrency,
    )
    async with open_s3(options) as s3:
        yield s3


def _key_sets(settings: Settings) -> KeySets:
    if settings.data_dir is not None:
        return open_issuer(settings.data_dir).key_sets()
    issuers = [IssuerOptions(each.issuer, each.jwk_set_uri) for each in settings.resource_server.issuers]
    return KeySets.fetched(issuers, httpx.AsyncClient)


def _resource_server(settings: Settings) -> ResourceServerOptions:
    server = settings.resource_server
    issuers = tuple(IssuerOptions(each.issuer, each.jwk_set_uri) for each in server.issuers)
    audience = None if settings.embedded else server.audience
    return ResourceServerOptions(system_name=server.system_name, audience=audience, issuers=issuers)
