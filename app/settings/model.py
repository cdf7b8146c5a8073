"""Every setting, grouped as in the contract (section 1); `load.py` reads and checks them.

Durations are seconds, sizes bytes. A text that is required only while backfill is enabled is "" where it is not given.
"""

# ruff: noqa: RUF009 - each of the calls that looks like a default makes a dataclasses.field

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from app.settings import values
from app.settings.binding import Property, entries, group, named_entries, properties_of, setting

NO_SECRET = SecretStr("")


@dataclass(frozen=True, slots=True)
class Server:
    address: str = setting("address", values.text, "0.0.0.0", "address to listen on", shown="0.0.0.0")  # noqa: S104 - a container's service listens on all
    port: int = setting("port", values.integer(0, 65535), 8080, "port; 0 takes a free one", shown="8080")
    context_path: str = setting(
        "servlet.context-path", values.context_path, "", "path in front of every endpoint, for example `/pas`"
    )


@dataclass(frozen=True, slots=True)
class FailureThresholdSettings:
    """A job pauses itself when more than `share` of at least `min_tasks` finished tasks failed; None: never."""

    share: float | None = setting(
        "share",
        values.share,
        None,
        "a job pauses itself when a larger share of its finished tasks failed, like 0.5",
        shown="off",
    )
    min_tasks: int = setting(
        "min-tasks", values.integer(1, 10**9), 100, "finished tasks before the share counts", shown="100"
    )


@dataclass(frozen=True, slots=True)
class Backfill:
    enabled: bool = setting(
        "enabled",
        values.boolean,
        False,
        "the REST endpoints, the database, the command publisher and the command consumer",
        shown="`false`",
    )
    topic: str = setting(
        "topic", values.topic, "", "topic for `CreateArtifactCommand`, published to and consumed from", shown="required"
    )
    event_topic: str = setting(
        "event-topic",
        values.topic,
        "",
        "topic of `BackfillJobStateChangedEvent`, the changes of jobs; without it no such events are published",
        shown="none",
    )
    system_name: str = setting(
        "system-name",
        values.text,
        "",
        "`publisher.system` of the command",
        shown="`jeap.messaging.kafka.system-name`",
    )
    service_name: str = setting(
        "service-name",
        values.text,
        "",
        "`publisher.service` of the command and consumer group",
        shown="`jeap.messaging.kafka.service-name`",
    )
    max_references: int = setting(
        "max-references",
        values.integer(1, 10**8),
        1_000_000,
        "references in one job; more is 413",
        shown="1000000",
    )
    max_body_size: int = setting(
        "max-body-size",
        values.size,
        64 * 1024**2,
        "largest body of a submission; more is 413",
        shown="64MiB",
    )
    concurrency: int = setting(
        "concurrency",
        values.integer(1, 10_000),
        64,
        "tasks that are fetched and stored at once in one process",
        shown="64",
    )
    max_attempts: int = setting(
        "max-attempts", values.integer(1, 100), 4, "attempts for a transient failure of the source", shown="4"
    )
    retry_backoff: float = setting(
        "retry-backoff",
        values.duration,
        0.5,
        "first pause between attempts, doubled up to 30 s, with jitter",
        shown="500ms",
    )
    source_patience: float = setting(
        "source-patience",
        values.duration,
        3600.0,
        "time for which tasks wait for a source that cannot be reached; then they fail",
        shown="1h",
    )
    window: int = setting(
        "window",
        values.integer(1, 1_000_000),
        1_000,
        "commands of one job published and not yet answered",
        shown="1000",
    )
    redelivery_after: float = setting(
        "redelivery-after",
        values.duration,
        3600.0,
        "time after which a command without an answer is published again; harmless",
        shown="1h",
    )
    max_bytes_in_flight: int = setting(
        "max-bytes-in-flight",
        values.size,
        256 * 1024**2,
        "bytes of documents in the memory of one process; further documents wait",
        shown="256MiB",
    )
    failure_threshold: FailureThresholdSettings = group(FailureThresholdSettings, "failure-threshold")


@dataclass(frozen=True, slots=True)
class ArchivedArtifactSettings:
    enabled: bool = setting("enabled", values.boolean, True, "publish the archived artifact event", shown="`true`")
    event_topic: str = setting(
        "event-topic", values.topic, "", "topic of `SharedArchivedArtifactVersionCreatedEvent`", shown="required"
    )
    system_id: str = setting(
        "system-id",
        values.text,
        "",
        "id of the system; accepted because settings of the Java service have it, and not used",
    )
    system_name: str = setting(
        "system-name", values.text, "", "name of the system, part of the event's variant", shown="required"
    )


@dataclass(frozen=True, slots=True)
class Http:
    timeout: float = setting(
        "timeout", values.duration, 5.0, "connecting to a source, and each wait for data", shown="5s"
    )
    total_timeout: float = setting(
        "total-timeout", values.duration, 30.0, "a whole fetch or token request", shown="30s"
    )
    allow_insecure: bool = setting(
        "allow-insecure", values.boolean, False, "http for sources and token endpoints beyond loopback", shown="`false`"
    )
    max_response_size: int = setting(
        "max-response-size", values.size, 32 * 1024**2, "largest document; a larger one fails the task", shown="32MiB"
    )


@dataclass(frozen=True, slots=True)
class Connection:
    """S3; what is left out is found in the ambient AWS configuration."""

    access_url: str | None = setting("access-url", values.http_url, None, "S3 endpoint; left out on AWS", shown="AWS")
    region: str | None = setting("region", values.text, None, "S3 region", shown="ambient")
    access_key: str | None = setting(
        "access-key", values.text, None, "access key id; left out, the ambient credentials serve", shown="ambient"
    )
    secret_key: SecretStr | None = setting(
        "secret-key", values.secret, None, "secret access key (secret)", shown="ambient"
    )


@dataclass(frozen=True, slots=True)
class Storage:
    bucket: str = setting("bucket", values.bucket, "", "target bucket", shown="required")
    prefix_mode: str = setting(
        "prefix-mode",
        values.choice("NONE", "DAY", "MONTH", "YEAR"),
        "NONE",
        "prefix of the object keys: `NONE`, `DAY` (`yyyyMMdd/`), `MONTH` (`yyyyMM/`), `YEAR` (`yyyy/`), in UTC",
        shown="`NONE`",
    )
    allowed_buckets: tuple[str, ...] = setting(
        "allowed-buckets",
        values.several(values.bucket),
        (),
        "buckets a source may ask for by header",
        shown="none",
        is_list=True,
    )
    allowed_prefixes: tuple[str, ...] = setting(
        "allowed-prefixes",
        values.several(values.prefix),
        (),
        "prefixes a source may ask for by header",
        shown="none",
        is_list=True,
    )
    create_bucket: bool = setting(
        "create-bucket",
        values.boolean,
        False,
        "make a missing bucket, with versioning and object lock",
        shown="`false`",
    )


@dataclass(frozen=True, slots=True)
class ObjectStorage:
    connection: Connection = group(Connection, "connection")
    storage: Storage = group(Storage, "storage")
    object_lock_enabled: bool = setting(
        "object-lock-enabled", values.boolean, True, "lock each object for its retention", shown="`true`"
    )
    object_lock_mode: str = setting(
        "object-lock-mode",
        values.choice("COMPLIANCE", "GOVERNANCE"),
        "COMPLIANCE",
        "`COMPLIANCE` or `GOVERNANCE`",
        shown="`COMPLIANCE`",
    )
    lifecycle_enabled: bool = setting(
        "lifecycle-enabled",
        values.boolean,
        True,
        "add the lifecycle rules of the archive types to the bucket; `false` for a store without lifecycle rules, or "
        "where somebody else keeps them: none are read or written",
        shown="`true`",
    )


@dataclass(frozen=True, slots=True)
class MetadataBackfillSettings:
    enabled: bool = setting(
        "enabled", values.boolean, False, "metadata backfill runs; needs `backfill.enabled`", shown="`false`"
    )
    batch_size: int = setting(
        "batch-size", values.integer(1, 10_000), 100, "artifacts in one batch and transaction", shown="100"
    )
    all_versions: bool = setting(
        "all-versions", values.boolean, False, "superseded stored objects too", shown="`false`"
    )


@dataclass(frozen=True, slots=True)
class ForecastSettings:
    """What a forecast needs to know of money; both or none."""

    price_per_gib_month: float | None = setting(
        "price-per-gib-month",
        values.price,
        None,
        "price of 1 GiB stored for a month; with price and currency a preflight forecasts the cost",
        shown="none",
    )
    currency: str | None = setting("currency", values.currency, None, "currency of the price, like CHF", shown="none")


@dataclass(frozen=True, slots=True)
class EvidenceSettings:
    """`key_name` is never "" once the settings are loaded."""

    signing_key: SecretStr | None = setting(
        "signing-key",
        values.signing_key,
        None,
        "Ed25519 private key in PKCS#8 PEM, which signs proofs of jobs and the audit log; without it nothing is signed "
        "(secret)",
        shown="none; embedded: made in the data directory",
        has_lines=True,
    )
    key_name: str = setting(
        "key-name",
        values.key_name,
        "",
        "name of the key, part of every checkpoint",
        shown="`<backfill.system-name>/<backfill.service-name>`",
    )
    former_keys: tuple[str, ...] = setting(
        "former-keys",
        values.several(values.verifier_key),
        (),
        "verifier keys of the past, `<name>+<id>+<key>`: what they signed stays valid",
        shown="none",
        is_list=True,
    )
    timestamp_url: str | None = setting(
        "timestamp-url",
        values.http_url,
        None,
        "RFC 3161 timestamp authority, which dates each checkpoint",
        shown="none",
    )


@dataclass(frozen=True, slots=True)
class UiSettings:
    enabled: bool = setting(
        "enabled",
        values.boolean,
        True,
        "the page for operators; it also needs `jeap.security.oauth2.ui-client`, or the embedded mode",
        shown="`true`",
    )
    trace_url: str | None = setting(
        "trace-url", values.http_url, None, "address of a trace, with `{traceId}`; the page links to it"
    )
    address: str | None = setting(
        "address",
        values.http_url,
        None,
        "address of the service with its context path, as browsers know it; the issuer sends them back there",
        shown="as asked",
    )
    session_key: SecretStr | None = setting(
        "session-key",
        values.secret,
        None,
        "the tokens of sessions are encrypted with it, in all processes alike (secret)",
        shown="client secret",
    )


@dataclass(frozen=True, slots=True)
class UiClient:
    """The client with which the page logs people in."""

    issuer: str = setting(
        "issuer", values.http_url, "", "issuer at which people log in to the page; without it there is no page"
    )
    client_id: str = setting("client-id", values.text, "", "client of the page", shown="required")
    client_secret: SecretStr | None = setting(
        "client-secret", values.secret, None, "its secret; none for a public client (secret)"
    )
    scope: str = setting("scope", values.text, "openid profile", "scopes asked for", shown="`openid profile`")


@dataclass(frozen=True, slots=True)
class Kafka:
    bootstrap_servers: str = setting(
        "bootstrap-servers",
        values.servers,
        "",
        "`host:port`, several separated by commas",
        shown="required",
        is_list=True,
    )
    system_name: str = setting("system-name", values.text, "", "default of `backfill.system-name`")
    service_name: str = setting("service-name", values.text, "", "default of `backfill.service-name`")
    security_protocol: str = setting(
        "security-protocol",
        values.choice("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
        "PLAINTEXT",
        "`PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`",
        shown="`PLAINTEXT`",
    )
    sasl_mechanism: str | None = setting(
        "sasl-mechanism",
        values.choice("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
        None,
        "`PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`; required with SASL",
    )
    username: str | None = setting("username", values.text, None, "user; required with SASL")
    password: SecretStr | None = setting("password", values.secret, None, "password; required with SASL (secret)")
    ssl_ca_file: Path | None = setting(
        "ssl-ca-file", values.path, None, "PEM file of the authorities trusted", shown="system's"
    )
    ssl_cert_file: Path | None = setting("ssl-cert-file", values.path, None, "PEM file of the client certificate")
    ssl_key_file: Path | None = setting("ssl-key-file", values.path, None, "PEM file of the client's key")
    ssl_key_password: SecretStr | None = setting(
        "ssl-key-password", values.secret, None, "password of the client's key (secret)"
    )
    create_topics: bool = setting("create-topics", values.boolean, False, "make missing topics", shown="`false`")
    encoding: str = setting(
        "encoding",
        values.choice("json", "avro"),
        "json",
        "encoding of what is published, `json` or `avro`; both are read whatever is set",
        shown="`json`",
    )
    schema_registry_url: str | None = setting(
        "schema-registry-url", values.http_url, None, "schema registry (Confluent's REST API); required with `avro`"
    )
    schema_registry_username: str | None = setting(
        "schema-registry-username", values.text, None, "user for basic authentication"
    )
    schema_registry_password: SecretStr | None = setting(
        "schema-registry-password", values.secret, None, "password for basic authentication (secret)"
    )
    schema_registry_ca: Path | None = setting(
        "schema-registry-ca", values.path, None, "PEM file of the authorities trusted for it", shown="system's"
    )
    auto_register_schema: bool = setting(
        "auto-register-schema",
        values.boolean,
        True,
        "register message schemas that the registry lacks; `false`: work waits until somebody registers them",
        shown="`true`",
    )


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """The archiving of messages as they come; nothing where no archive type is live."""

    enabled: bool = setting(
        "enabled", values.boolean, True, "archive what the messages of live archive types name", shown="`true`"
    )
    start: str = setting(
        "start",
        values.choice("latest", "earliest"),
        "latest",
        "where a topic begins that is consumed for the first time: `latest` or `earliest`",
        shown="`latest`",
    )
    dead_letter_topic: str = setting(
        "dead-letter-topic",
        values.topic,
        "",
        "topic of live messages that can never be archived",
        shown="`<backfill.topic>-dlq`",
    )
    python_timeout: float = setting(
        "python-timeout",
        values.duration,
        30.0,
        "how long a Python function of a live archive type may take; a message whose function takes longer is a dead "
        "letter",
        shown="30s",
    )


@dataclass(frozen=True, slots=True)
class Issuer:
    """A token issuer that is trusted."""

    issuer: str = setting("issuer", values.http_url, "", "`iss` of the tokens", shown="required")
    jwk_set_uri: str = setting(
        "jwk-set-uri", values.http_url, "", "address of the keys of this issuer", shown="required"
    )


@dataclass(frozen=True, slots=True)
class ResourceServer:
    """Who may call. `issuers` has the one of `authorization-server` too, which comes first; none when embedded: only
    the development issuer is trusted then."""

    system_name: str | None = setting(
        "system-name", values.text, None, "our system in semantic roles `<system>_@backfilljob_#write`"
    )
    audience: str | None = setting("audience", values.text, None, "`aud` that a token must have", shown="not checked")
    issuers: tuple[Issuer, ...] = entries(Issuer, "issuers")
    authorization_server: Issuer = group(Issuer, "authorization-server")


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """Client credentials for the fetches whose archive type names it in `oauthClientId`."""

    token_uri: str = setting("token-uri", values.http_url, "", "token endpoint", shown="required")
    client_id: str = setting("client-id", values.text, "", "client id", shown="required")
    client_secret: SecretStr = setting(
        "client-secret", values.secret, NO_SECRET, "client secret (secret)", shown="required"
    )
    scope: str | None = setting("scope", values.text, None, "scopes asked for, separated by blanks")


@dataclass(frozen=True, slots=True)
class Datasource:
    """`postgresql://…`; on the embedded defaults `sqlite:///<absolute path>`."""

    url: SecretStr = setting(
        "url",
        values.database_url,
        NO_SECRET,
        "PostgreSQL 15 or newer, encoding UTF8: `postgresql://user:password@host:port/name`; options: "
        '"Database" below (secret)',
        shown="required",
    )


@dataclass(frozen=True, slots=True)
class Settings:
    server: Server = group(Server, "server")
    shutdown_timeout: float = setting(
        "jeap.processarchive.shutdown-timeout",
        values.duration,
        25.0,
        "time after SIGTERM to finish or put back what is in flight",
        shown="25s",
    )
    backfill: Backfill = group(Backfill, "jeap.processarchive.backfill")
    archive_types_location: Path = setting(
        "jeap.processarchive.configuration.location",
        values.path,
        Path("config/archive-types.yml"),
        "the archive type configurations",
        shown="config/archive-types.yml",
    )
    registry_location: Path = setting(
        "jeap.processarchive.registry.location",
        values.path,
        Path("contracts/archive-types"),
        "the archive data schemas",
        shown="contracts/archive-types",
    )
    archived_artifact: ArchivedArtifactSettings = group(
        ArchivedArtifactSettings, "jeap.processarchive.archivedartifact"
    )
    http: Http = group(Http, "jeap.processarchive.http")
    object_storage: ObjectStorage = group(ObjectStorage, "jeap.processarchive.objectstorage")
    metadata_backfill: MetadataBackfillSettings = group(
        MetadataBackfillSettings, "jeap.processarchive.metadata-backfill"
    )
    live: LiveSettings = group(LiveSettings, "jeap.processarchive.live")
    forecast: ForecastSettings = group(ForecastSettings, "jeap.processarchive.forecast")
    evidence: EvidenceSettings = group(EvidenceSettings, "jeap.processarchive.evidence")
    ui: UiSettings = group(UiSettings, "jeap.processarchive.ui")
    kafka: Kafka = group(Kafka, "jeap.messaging.kafka")
    ui_client: UiClient = group(UiClient, "jeap.security.oauth2.ui-client")
    resource_server: ResourceServer = group(ResourceServer, "jeap.security.oauth2.resourceserver")
    cli_client_id: str | None = setting(
        "jeap.security.oauth2.cli-client-id",
        values.text,
        None,
        "client with which `pas login` logs people in by device code; it is public",
    )
    oauth_clients: Mapping[str, OAuthClient] = named_entries(OAuthClient, "jeap.security.oauth2.client")
    datasource: Datasource = group(Datasource, "jeap.datasource")
    given: frozenset[str] = frozenset()
    """Names of the properties that the file or a variable gives."""
    replaced: tuple[str, ...] = ()
    """Names of those that the embedded defaults replaced."""
    passed_over: tuple[str, ...] = ()
    """Variables of other products that have the name of a property, each with the reason why it is ignored."""
    data_dir: Path | None = None
    """Absolute data directory of the embedded service; None: not embedded."""

    @property
    def embedded(self) -> bool:
        return self.data_dir is not None

    @property
    def has_page(self) -> bool:
        return self.ui.enabled and self.backfill.enabled and (self.embedded or bool(self.ui_client.issuer))


def properties() -> list[Property]:
    """Every property there is, in the order of the groups."""
    return properties_of(Settings)
