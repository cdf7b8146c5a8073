"""The composition root: opens database engine, broker, object store and HTTP clients, and builds all objects."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from urllib.parse import urlsplit

from app.api.auth.callers import Authenticator, KeySets
from app.api.edge import Edge
from app.api.http.bodies import Uploads
from app.api.http.concurrency import CHANGES, INCLUSIONS, PREFLIGHTS, RECONCILES, ConcurrencyLimit
from app.api.http.event_streams import EventStreams
from app.api.submission.expected_reader import ExpectedReader
from app.api.submission.reader import YamlReader
from app.archiver.fetch import Fetcher
from app.archiver.payload import Payloads
from app.archiver.pipeline import Archiver, ArchiverOptions, ArchiverParts
from app.archiver.preflight import Preflights
from app.archiver.records import Records
from app.archiver.resolve import source_of
from app.broker import Broker
from app.broker.encoding import Encoding
from app.broker.framing import NO_REGISTRY, Schemas
from app.broker.messages import COMMAND_TYPE, RUN_COMMAND_TYPE
from app.broker.registry import SchemaRegistry
from app.catalog.archive_types import Catalog
from app.catalog.live import LiveCatalog
from app.catalog.registry import Registry, load_registry
from app.db.database import Database
from app.db.job_history import JobHistory
from app.db.outbox import BATCHES, LIVE_TASKS, TASKS, Outbox
from app.domain.errors import StartRefused
from app.domain.readiness import COMPONENTS, SCHEMA_REGISTRY, Readiness
from app.domain.system import CommandCounts
from app.domain.tasks import TaskRow
from app.evidence.audit_keeper import AuditKeeper
from app.evidence.audit_log import AuditLog
from app.evidence.builder import ProofBuilder
from app.evidence.objects import LockTerms
from app.evidence.proofs import Proofs
from app.evidence.reconcile import Objects, Reconciliation
from app.evidence.signer import Signer, signing_keys
from app.evidence.timestamps import Timestamps
from app.jobs.archive_types import ArchiveTypes
from app.jobs.control import JobControl
from app.jobs.failures import FailedReferences
from app.jobs.known_outages import KnownOutages
from app.jobs.merged_report import MergedReports
from app.jobs.minutes import JobMinutes
from app.jobs.plans import Plans
from app.jobs.references import JobReferences
from app.jobs.report import Reports
from app.jobs.retry import Retries
from app.jobs.submit import Submissions
from app.jobs.waiting import WaitingJobs
from app.live.beginnings import KeptBeginnings
from app.live.intake import Intake, live_topics
from app.live.upkeep import LiveUpkeep
from app.messaging.backfill_metadata import BackfillMetadataHandler
from app.messaging.consumer import CommandLoop
from app.messaging.create_artifact import CreateArtifactHandler
from app.messaging.dead_letters import send_dead_letter
from app.messaging.dispatch import Dispatcher
from app.messaging.job_events import JobEventRelay
from app.messaging.live_flow import IN_HAND, LiveFlow, LiveLoop
from app.messaging.live_messages import LiveReceiver
from app.messaging.relay import Relay, RelayOptions
from app.messaging.slot_policy import PAYLOADS, slot_limit
from app.messaging.slots import Slots
from app.messaging.undecoded import find_schema
from app.metadata.backfill import MetadataBackfill
from app.metadata.content import Contents
from app.metadata.control import RunControl
from app.metadata.definitions import Definitions
from app.metadata.extract import Extractor
from app.metadata.search import Artifacts
from app.objectstore import ObjectStore
from app.process import adapters
from app.process.check_config import load_catalog, load_catalog_with
from app.process.page import open_page
from app.process.probes import Probes, check_database, probe_of_schemas, refuse_unusable
from app.process.reload import Reload, digest
from app.process.supervision import EvidencePart, Supervision
from app.process.watch import Probe, Watch
from app.settings.model import Settings
from app.sources.http import SourceClient, open_sources
from app.sources.memory import ByteBudget
from app.system.dead_letters import DeadLetterCounts
from app.system.overview import Overview
from app.system.processes import Presence
from app.system.source_limits import SourceLimits
from app.ui.page import Page

LIVE_SLOTS = 8
"""Dead letters that the live flow sends at the same time; it has no other work that takes slots."""

BATCHES_OUT = 100
"""Batches of a run published and not yet answered: enough for many processes. Where archiving leaves little, those in
hand wait, and with them the offsets of all records behind them."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """The objects that the HTTP edge calls, and `run`: everything that runs beside requests."""

    edge: Edge
    readiness: Readiness
    run: Callable[[asyncio.Event], Awaitable[None]]
    """Until the event is set, then up to the shutdown timeout. Raises StartRefused or what broke."""
    page: Page | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """What several objects need: the connections of the process, and the content of its files."""

    settings: Settings
    catalog: LiveCatalog
    registry: Registry
    database: Database
    broker: Broker
    objects: ObjectStore
    sources: SourceClient
    readiness: Readiness
    extractor: Extractor
    history: JobHistory
    dead_letters: DeadLetterCounts
    schemas: SchemaRegistry | None
    encoding: Encoding
    budget: ByteBudget
    signer: Signer | None


@asynccontextmanager
async def open_service(settings: Settings, *, migrate: bool) -> AsyncIterator[Service]:
    """Builds everything and connects to nothing yet; `run` waits for the servers that cannot be reached.

    Raises StartRefused when the database answers and must be migrated first, or belongs to other software.
    """
    seen = digest(settings.archive_types_location)
    catalog, registry = load_catalog(settings)
    live = LiveCatalog(catalog)
    async with AsyncExitStack() as stack:
        stack.callback(registry.close)
        schemas = await stack.enter_async_context(adapters.open_registry(settings))
        encoding = adapters.encoding_of(settings, schemas)
        readiness = Readiness(COMPONENTS, optional=() if schemas is None else (SCHEMA_REGISTRY,))
        database = Database(settings.datasource.url.get_secret_value())
        stack.push_async_callback(database.close)
        await refuse_unusable(database, migrate=migrate)
        objects = await stack.enter_async_context(adapters.open_object_store(settings))
        broker = adapters.open_broker(settings)
        stack.push_async_callback(broker.close)  # a stop may come while it starts
        await broker.start()
        yaml_reader = YamlReader()
        stack.push_async_callback(yaml_reader.close)
        expected_reader = ExpectedReader()
        stack.push_async_callback(expected_reader.close)
        budget = ByteBudget(settings.backfill.max_bytes_in_flight)
        sources = await stack.enter_async_context(_sources(settings, budget))
        run_relay = _run_relay(settings, database, broker, readiness, encoding)
        definitions = Definitions(database, adapters.run_options(settings), run_relay.wake)
        extractor = Extractor(objects, registry, readiness, budget, definitions.of)
        history = JobHistory(publishes=bool(settings.backfill.event_topic))
        dead_letters, presence = DeadLetterCounts(database), Presence(database, version("process-archive-service"))
        parts = Parts(
            settings,
            live,
            registry,
            database,
            broker,
            objects,
            sources,
            readiness,
            extractor,
            history,
            dead_letters,
            schemas,
            encoding,
            budget,
            adapters.signer(settings),
        )
        relay, live_relay = _relay(parts, TASKS), _relay(parts, LIVE_TASKS)

        def wake() -> None:
            relay.wake()
            live_relay.wake()

        work = _command_loop(parts, relay, live_relay, _metadata(parts, run_relay))
        key_sets = adapters.key_sets_of(settings)
        failed = FailedReferences(database)
        reload = Reload(
            settings.archive_types_location,
            seen,
            lambda: load_catalog_with(settings, registry),
            live,
            definitions,
            readiness,
        )

        async def prepare_database() -> None:
            await check_database(database, migrate=migrate, readiness=readiness)
            await definitions.apply(live.now)

        keeper = _audit_keeper(parts)
        limits = SourceLimits(database, parts.catalog, parts.sources.pacers, presence.id)
        supervision = Supervision(
            Watch(readiness, _probes(parts, key_sets, prepare_database), refusal=StartRefused),
            key_sets,
            [live_relay, relay, *([run_relay] if settings.metadata_backfill.enabled else [])],
            _job_events(parts),
            _evidence(parts),
            work,
            reload,
            failed,
            [dead_letters, presence, LiveUpkeep(database, history), JobMinutes(database), limits, keeper],
            _waiting_jobs(parts),
            _live_flow(parts, live_relay),
            settings.shutdown_timeout,
            relays_forget=settings.embedded,
        )
        edge = Edge(
            authenticator=Authenticator(adapters.resource_server(settings), key_sets),
            submissions=Submissions(database, history, live, relay.wake),
            reports=Reports(database),
            merged_reports=MergedReports(database),
            job_control=JobControl(database, history, wake),
            retries=Retries(database, history, live, wake),
            failed=failed,
            references=JobReferences(database),
            preflights=_preflights(parts),
            plans=Plans(adapters.terms(settings, registry.types())),
            archive_types=ArchiveTypes(database, live, registry),
            artifacts=Artifacts(database, lambda: live.now.configurations),
            contents=Contents(objects),
            run_control=RunControl(database, extractor, adapters.run_options(settings), run_relay.wake),
            overview=_overview(parts, work, presence),
            proofs=Proofs(database, objects, signs=parts.signer is not None),
            signing=signing_keys(parts.signer, settings.evidence.former_keys),
            audit_log=AuditLog(database, parts.signer, keeper.findings),
            reconciliation=Reconciliation(database, live, Objects(objects, _lock_terms(settings))),
            expected_reader=expected_reader,
            yaml_reader=yaml_reader,
            uploads=Uploads(settings.backfill.max_body_size),
            event_streams=EventStreams(readiness),
            changes=ConcurrencyLimit("changes of jobs", CHANGES, waiting=10),
            preflight_turns=ConcurrencyLimit("preflights", PREFLIGHTS, waiting=0),
            inclusion_turns=ConcurrencyLimit("inclusion proofs", INCLUSIONS, waiting=20),
            reconciles=ConcurrencyLimit("lists to reconcile", RECONCILES, waiting=4),
            max_references=settings.backfill.max_references,
            max_attempts=settings.backfill.max_attempts,
            issuers=adapters.issuers_of(settings),
            cli_client_id=settings.cli_client_id,
        )
        yield Service(
            edge,
            readiness,
            supervision.run,
            open_page(settings, edge, database, key_sets, limits, presence.release),
        )


def _probes(parts: Parts, key_sets: KeySets, prepare_database: Callable[[], Awaitable[None]]) -> dict[str, Probe]:
    return Probes(
        adapters.topics_of(parts.settings),
        adapters.target(parts.settings).buckets,
        parts.database,
        parts.broker,
        parts.objects,
        parts.registry,
        key_sets,
        parts.readiness,
        prepare_database,
        None if parts.schemas is None else probe_of_schemas(parts.schemas, parts.encoding),
        adapters.spared_topics(parts.settings),
        lambda: adapters.topics_of_live(parts.settings, parts.catalog.now),
    ).by_component()


def _preflights(parts: Parts) -> Preflights:
    return Preflights(
        adapters.target(parts.settings),
        parts.sources,
        parts.registry,
        parts.objects,
        locks=parts.settings.object_storage.object_lock_enabled,
        price=adapters.price(parts.settings),
    )


def _evidence(parts: Parts) -> Sequence[EvidencePart]:
    """What makes evidence beside requests; nothing where nothing is signed."""
    if parts.signer is None:
        return []
    database, objects, readiness = parts.database, parts.objects, parts.readiness
    options, alone = adapters.proof_options(parts.settings), parts.settings.embedded
    builder = ProofBuilder(database, objects, readiness, parts.signer, options, alone=alone)
    authority = adapters.timestamp_authority(parts.settings)
    return [builder] if authority is None else [builder, Timestamps(database, objects, readiness, authority)]


def _audit_keeper(parts: Parts) -> AuditKeeper:
    options = adapters.keeper_options(parts.settings, parts.registry.types(), version("process-archive-service"))
    authority = adapters.timestamp_authority(parts.settings)
    return AuditKeeper(parts.database, parts.objects, parts.readiness, parts.signer, options, authority)


def _lock_terms(settings: Settings) -> LockTerms:
    store = settings.object_storage
    return LockTerms(store.object_lock_mode if store.object_lock_enabled else None)


def _waiting_jobs(parts: Parts) -> WaitingJobs:
    sources, readiness = parts.sources, parts.readiness
    outages = KnownOutages(readiness, parts.catalog, sources.pacers, sources.outages, parts.encoding.holds_tasks)
    return WaitingJobs(parts.database, readiness, outages)


def _metadata(parts: Parts, run_relay: Relay) -> MetadataBackfill:
    return MetadataBackfill(
        parts.database,
        parts.extractor,
        parts.readiness,
        batch_size=parts.settings.metadata_backfill.batch_size,
        on_settled=lambda: run_relay.settled(1),
    )


def _overview(parts: Parts, work: CommandLoop, presence: Presence) -> Overview:
    window = parts.settings.backfill.window
    runs = [(BATCHES, min(window, BATCHES_OUT))] if parts.settings.metadata_backfill.enabled else []
    return Overview(
        parts.database,
        parts.readiness,
        parts.catalog,
        parts.sources.pacers,
        lambda: CommandCounts(work.in_flight, work.in_hand),
        presence,
        [(TASKS, window), (LIVE_TASKS, window), *runs],
    )


@dataclass(frozen=True, slots=True)
class StoredArchive:
    """The archive, opened for reading back. `name` identifies the archive and holds no secret."""

    name: str
    database: Database
    objects: ObjectStore
    buckets: tuple[str, ...]
    systems: tuple[str, ...]
    """`<system>/<type>` of the registry: what keys of objects begin with, behind their prefix."""


@asynccontextmanager
async def open_stored(settings: Settings) -> AsyncIterator[StoredArchive]:
    """Opens only the database and the object store; may run beside a running service.

    Raises StartRefused, CatalogError when the registry of schemas cannot be read, Unavailable.
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


def _command_loop(parts: Parts, relay: Relay, live_relay: Relay, metadata: MetadataBackfill) -> CommandLoop:
    settings, backfill, readiness = parts.settings, parts.settings.backfill, parts.readiness
    records = Records(parts.database, readiness, parts.history, relay.settled, adapters.failure_threshold(settings))
    archiver = Archiver(
        ArchiverOptions(
            adapters.target(settings),
            settings.object_storage.object_lock_enabled,
            adapters.events(settings, parts.encoding),
        ),
        ArchiverParts(
            catalog=parts.catalog,
            registry=parts.registry,
            payloads=Payloads(records, parts.budget),
            fetcher=Fetcher(parts.sources, backfill.retry_backoff, backfill.source_patience),
            objects=parts.objects,
            broker=parts.broker,
            records=records,
            readiness=readiness,
            metadata=parts.extractor,
        ),
    )
    handler = CreateArtifactHandler(
        records,
        archiver,
        lambda row: _lane(parts.catalog.now, row),
        backfill.max_attempts,
        live_relay.wake,
        lambda: live_relay.settled(1),
    )
    schemas: Schemas = parts.schemas or NO_REGISTRY
    return CommandLoop(
        parts.broker.consumer([backfill.topic], backfill.service_name),
        Dispatcher(
            {
                COMMAND_TYPE: handler,
                RUN_COMMAND_TYPE: BackfillMetadataHandler(parts.database, readiness, metadata),
            },
            backfill.service_name,
            schemas,
        ),
        Slots(backfill.concurrency, slot_limit(parts.sources.pacers, backfill.concurrency)),
        lambda record, reason: send_dead_letter(parts.broker, readiness, record, reason, parts.dead_letters.note),
        readiness,
        lambda schema_id: find_schema(schemas, readiness, schema_id),
    )


def _lane(catalog: Catalog, row: TaskRow) -> str:
    """The lane of a task: its source, or that of documents which were in their messages."""
    if row.origin is not None and row.origin.payload is not None:
        return PAYLOADS
    return source_of(catalog, row.message, row.config_id)


def _live_flow(parts: Parts, relay: Relay) -> LiveFlow | None:
    live, backfill, readiness = parts.settings.live, parts.settings.backfill, parts.readiness
    if not live.enabled:
        return None
    schemas: Schemas = parts.schemas or NO_REGISTRY
    intake = Intake(parts.database, readiness, parts.catalog, parts.registry, relay.wake, live.python_timeout)
    receiver = LiveReceiver(intake, schemas, backfill.service_name)
    beginnings = KeptBeginnings(parts.database, earliest=live.start == "earliest")

    def begin(topics: frozenset[str]) -> LiveLoop:
        consumer = parts.broker.consumer(sorted(topics), f"{backfill.service_name}-live", beginnings)
        note = parts.dead_letters.note
        loop = CommandLoop(
            consumer,
            receiver,
            Slots(LIVE_SLOTS, lambda _lane, _others_have_work: LIVE_SLOTS, IN_HAND),
            lambda record, reason: send_dead_letter(
                parts.broker, readiness, record, reason, note, live.dead_letter_topic
            ),
            readiness,
            lambda schema_id: find_schema(schemas, readiness, schema_id),
        )
        return LiveLoop(loop, consumer)

    return LiveFlow(receiver, lambda: live_topics(parts.catalog.now), begin)


def _relay(parts: Parts, box: Outbox) -> Relay:
    backfill = parts.settings.backfill
    options = RelayOptions(backfill.window, backfill.redelivery_after)
    commands = adapters.commands(parts.settings, parts.encoding, box)
    return Relay(parts.database, parts.broker, parts.readiness, commands, options)


def _job_events(parts: Parts) -> JobEventRelay | None:
    topic = parts.settings.backfill.event_topic
    if not topic:
        return None
    publisher = adapters.publisher_of_job_events(parts.settings)
    encoder = adapters.job_event_encoder(parts.settings, parts.encoding)
    return JobEventRelay(parts.database, parts.broker, parts.readiness, topic, publisher, encoder)


def _run_relay(
    settings: Settings, database: Database, broker: Broker, readiness: Readiness, encoding: Encoding
) -> Relay:
    backfill = settings.backfill
    options = RelayOptions(min(backfill.window, BATCHES_OUT), backfill.redelivery_after)
    return Relay(database, broker, readiness, adapters.run_commands(settings, encoding), options)
