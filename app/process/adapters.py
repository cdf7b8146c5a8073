"""Builds, from the settings, the objects that talk to other services: broker, object store, signing keys."""

import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

import httpx

from app.api.auth.callers import IssuerOptions, KeySets, ResourceServerOptions
from app.api.auth.dev_issuer import open_issuer
from app.archiver.announce import EventOptions
from app.archiver.describe import Target
from app.broker import Broker
from app.broker.embedded import EmbeddedBroker
from app.broker.encoding import JSON, Encoder, Encoding
from app.broker.messages import COMMAND_TYPE, EVENT_KEY_TYPE, EVENT_TYPE, JOB_EVENT_TYPE, RUN_COMMAND_TYPE, Publisher
from app.broker.registry import RegistryHttp, RegistryOptions, SchemaRegistry
from app.catalog.archive_types import Catalog
from app.db.outbox import TASKS, Outbox
from app.domain.archive_types import ArchiveDataType
from app.domain.errors import StartRefused
from app.domain.forecast import Price
from app.domain.jobs import FailureThreshold
from app.domain.notes import VerifierKey
from app.domain.plans import Terms
from app.evidence.audit_keeper import KeeperOptions
from app.evidence.builder import ProofOptions
from app.evidence.signer import Signer, SigningKeyError, own_signer, signer_of, signing_keys
from app.evidence.timestamps import TimestampAuthority
from app.live.intake import live_topics
from app.messaging.dead_letters import dead_letter_topic
from app.messaging.owed import BackfillMetadataCommands, CreateArtifactCommands
from app.metadata.definitions import RunOptions
from app.objectstore import ObjectStore
from app.objectstore.filesystem import FilesystemObjectStore
from app.outgoing.trust import trusted
from app.settings.model import Settings
from app.sources.oauth import OAuthClientOptions
from app.sources.transport import HttpOptions


@asynccontextmanager
async def open_registry(settings: Settings) -> AsyncIterator[SchemaRegistry | None]:
    """The schema registry, where one is named; connects to nothing yet."""
    kafka = settings.kafka
    if kafka.schema_registry_url is None:
        yield None
        return
    password = kafka.schema_registry_password
    options = RegistryOptions(
        kafka.schema_registry_url,
        kafka.schema_registry_username,
        None if password is None else password.get_secret_value(),
    )
    http = RegistryHttp(options, trusted(kafka.schema_registry_ca))
    registry = SchemaRegistry(http, auto_register=kafka.auto_register_schema)
    try:
        yield registry
    finally:
        await registry.close()


def encoding_of(settings: Settings, registry: SchemaRegistry | None) -> Encoding:
    return Encoding(registry if settings.kafka.encoding == "avro" else None)


def commands(settings: Settings, encoding: Encoding, box: Outbox = TASKS) -> CreateArtifactCommands:
    backfill = settings.backfill
    encoder = encoding.of(backfill.topic, COMMAND_TYPE, of_tasks=True)
    return CreateArtifactCommands(backfill.topic, _sender(settings), encoder, box)


def run_commands(settings: Settings, encoding: Encoding) -> BackfillMetadataCommands:
    backfill = settings.backfill
    # a schema that nobody needs is neither registered nor missed
    encoder = encoding.of(backfill.topic, RUN_COMMAND_TYPE) if settings.metadata_backfill.enabled else JSON
    return BackfillMetadataCommands(backfill.topic, _sender(settings), encoder)


def _sender(settings: Settings) -> Publisher:
    return Publisher(settings.backfill.system_name, settings.backfill.service_name)


def run_options(settings: Settings) -> RunOptions:
    options = settings.metadata_backfill
    return RunOptions(options.enabled, options.batch_size, options.all_versions)


def failure_threshold(settings: Settings) -> FailureThreshold | None:
    threshold = settings.backfill.failure_threshold
    return None if threshold.share is None else FailureThreshold(threshold.share, threshold.min_tasks)


def topics_of(settings: Settings) -> Sequence[str]:
    topic = settings.backfill.topic
    return [topic, dead_letter_topic(topic), *_artifact_topics(settings), *spared_topics(settings)]


def spared_topics(settings: Settings) -> Sequence[str]:
    """Those without which tasks go on: of the events of jobs."""
    topic = settings.backfill.event_topic
    return [topic] if topic and topic not in _artifact_topics(settings) else []


def topics_of_live(settings: Settings, catalog: Catalog) -> frozenset[str]:
    """Those of the live archive types, and that of their dead letters; none where nothing is live."""
    topics = live_topics(catalog)
    return topics | {settings.live.dead_letter_topic} if topics and settings.live.enabled else frozenset()


def _artifact_topics(settings: Settings) -> Sequence[str]:
    return [settings.archived_artifact.event_topic] if settings.archived_artifact.enabled else []


def events(settings: Settings, encoding: Encoding) -> EventOptions | None:
    if not settings.archived_artifact.enabled:
        return None
    topic = settings.archived_artifact.event_topic
    return EventOptions(
        topic=topic,
        publisher=Publisher(settings.archived_artifact.system_name, _service_of_events(settings)),
        key=encoding.of(topic, EVENT_KEY_TYPE, of_tasks=True),
        value=encoding.of(topic, EVENT_TYPE, of_tasks=True),
    )


def publisher_of_job_events(settings: Settings) -> Publisher:
    return Publisher(settings.backfill.system_name, _service_of_events(settings))


def _service_of_events(settings: Settings) -> str:
    return settings.kafka.service_name or settings.backfill.service_name


def job_event_encoder(settings: Settings, encoding: Encoding) -> Encoder:
    topic = settings.backfill.event_topic
    return encoding.of(topic, JOB_EVENT_TYPE) if topic else JSON


def target(settings: Settings) -> Target:
    storage = settings.object_storage.storage
    return Target(
        bucket=storage.bucket,
        prefix_mode=storage.prefix_mode,
        allowed_buckets=frozenset(storage.allowed_buckets),
        allowed_prefixes=frozenset(prefix.strip("/") for prefix in storage.allowed_prefixes),
    )


def terms(settings: Settings, types: tuple[ArchiveDataType, ...]) -> Terms:
    """How and where this installation archives, as plans compare it."""
    store, where = settings.object_storage, target(settings)
    return Terms(
        types=types,
        bucket=where.bucket,
        prefix_mode=where.prefix_mode,
        allowed_buckets=where.allowed_buckets,
        allowed_prefixes=where.allowed_prefixes,
        lock_mode=store.object_lock_mode if store.object_lock_enabled else None,
    )


def price(settings: Settings) -> Price | None:
    """The price of storage; None where the settings have none."""
    amount, currency = settings.forecast.price_per_gib_month, settings.forecast.currency
    return None if amount is None or currency is None else Price(amount, currency)


def open_broker(settings: Settings) -> Broker:
    if settings.data_dir is not None:
        return EmbeddedBroker(settings.data_dir, {settings.backfill.topic})
    from app.broker.kafka import KafkaBroker, KafkaOptions  # not for the embedded mode: it takes time to load

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
async def open_object_store(settings: Settings) -> AsyncIterator[ObjectStore]:
    store = settings.object_storage
    if settings.data_dir is not None:
        files = FilesystemObjectStore(settings.data_dir / "objects", store.object_lock_enabled, store.lifecycle_enabled)
        try:
            yield files
        finally:
            await files.close()
        return
    from app.objectstore.s3 import S3Options, open_s3  # as above

    connection = store.connection
    options = S3Options(
        access_url=connection.access_url,
        region=connection.region,
        access_key=connection.access_key,
        secret_key=None if connection.secret_key is None else connection.secret_key.get_secret_value(),
        object_lock_enabled=store.object_lock_enabled,
        object_lock_mode=store.object_lock_mode,
        lifecycle_enabled=store.lifecycle_enabled,
        create_bucket=store.storage.create_bucket,
        connections=settings.backfill.concurrency,
    )
    async with open_s3(options) as s3:
        yield s3


def signer(settings: Settings) -> Signer | None:
    """What signs proofs and the audit log; None where no key is given. Raises StartRefused."""
    evidence = settings.evidence
    if evidence.signing_key is not None:
        return signer_of(evidence.key_name, evidence.signing_key.get_secret_value())
    if settings.data_dir is None:
        return None
    try:
        return own_signer(settings.data_dir / "evidence" / "key.pem", evidence.key_name)
    except SigningKeyError as error:
        raise StartRefused(str(error)) from error


def timestamp_authority(settings: Settings) -> TimestampAuthority | None:
    """None where the settings name none."""
    url = settings.evidence.timestamp_url
    if url is None:
        return None
    return TimestampAuthority(url, lambda: httpx.AsyncClient(verify=trusted(), trust_env=False))


def proof_options(settings: Settings) -> ProofOptions:
    evidence = settings.evidence
    return ProofOptions(
        bucket=settings.object_storage.storage.bucket,
        former=signing_keys(None, evidence.former_keys).keys,
        timestamps=evidence.timestamp_url is not None,
    )


def verifier_keys(settings: Settings) -> list[VerifierKey]:
    """The keys whose signatures count: the present one and those of the past. Raises StartRefused."""
    return list(signing_keys(signer(settings), settings.evidence.former_keys).keys)


def keeper_options(settings: Settings, types: Iterable[ArchiveDataType], release: str) -> KeeperOptions:
    """Checkpoints of the audit log are locked as long as the data that is kept longest."""
    store = settings.object_storage
    longest = max((each.expiration_days for each in types), default=365)
    return KeeperOptions(
        bucket=store.storage.bucket,
        retain_days=longest if store.object_lock_enabled else None,
        details={"settings": hashlib.sha256(repr(settings).encode()).hexdigest(), "version": release},
        former=signing_keys(None, settings.evidence.former_keys).keys,
    )


@asynccontextmanager
async def open_ambient_store(environment: Mapping[str, str]) -> AsyncIterator[ObjectStore]:
    """The store of `AWS_…` in the environment, for reading."""
    from app.objectstore.s3 import S3Options, open_s3  # as above

    url = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    async with open_s3(S3Options(access_url=url)) as s3:
        yield s3


def key_sets_of(settings: Settings) -> KeySets:
    if settings.data_dir is not None:
        return open_issuer(settings.data_dir).key_sets()
    issuers = [IssuerOptions(each.issuer, each.jwk_set_uri) for each in settings.resource_server.issuers]
    # A client for each fetch: no connection is asked twice.
    return KeySets.fetched(issuers, lambda: httpx.AsyncClient(verify=trusted(), trust_env=False))


def issuers_of(settings: Settings) -> tuple[str, ...]:
    """The names of the issuers whose tokens are accepted."""
    if settings.data_dir is not None:
        return (open_issuer(settings.data_dir).name,)
    return tuple(each.issuer for each in settings.resource_server.issuers)


def http_options(settings: Settings) -> HttpOptions:
    http = settings.http
    return HttpOptions(http.timeout, http.total_timeout, http.max_response_size)


def oauth_clients(settings: Settings) -> list[OAuthClientOptions]:
    return [
        OAuthClientOptions(name, each.token_uri, each.client_id, each.client_secret.get_secret_value(), each.scope)
        for name, each in settings.oauth_clients.items()
    ]


def resource_server(settings: Settings) -> ResourceServerOptions:
    server = settings.resource_server
    issuers = tuple(IssuerOptions(each.issuer, each.jwk_set_uri) for each in server.issuers)
    audience = None if settings.embedded else server.audience
    return ResourceServerOptions(system_name=server.system_name, audience=audience, issuers=issuers)
