# ruff: noqa: RUF009 - each of the calls that looks like a default makes a dataclasses.field
"""Every setting, grouped as in the contract (section 1); `load_settings` reads, checks and reports all mistakes.

Durations are seconds, sizes bytes. A text that is required only while backfill is enabled is "" where it is not given.
"""

import dataclasses
import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from pydantic import SecretStr

from app import settings_values as values
from app.settings_source import Given, Source, read_source, variable_of

REPOSITORY = Path(__file__).resolve().parent.parent
EXAMPLE = REPOSITORY / "config" / "application.yml"
EMBEDDED_BUCKET = "archive"
EMBEDDED_ISSUER = "http://127.0.0.1/pas-development"
"""Name of the development token issuer; nothing listens there, its keys lie in the data directory."""

NO_SECRET = SecretStr("")


class SettingsError(Exception):
    """The settings cannot be used; `mistakes` has one readable line for each, without any secret."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class Property(NamedTuple):
    """A property as the documentation lists it. `name` has `<id>` and `[0]` in the place of map and list entries."""

    name: str
    default: str
    about: str

    @property
    def variable(self) -> str:
        """The environment variable; `<id>` becomes `<ID>`."""
        head, found, tail = self.name.partition(".<id>.")
        return f"{variable_of(head)}_<ID>_{variable_of(tail)}" if found else variable_of(self.name)


@dataclass(frozen=True, slots=True)
class _Setting:
    name: str
    parse: Callable[[str], Any]
    shown: str
    about: str
    is_list: bool = False


def _setting(
    name: str, parse: Callable[[str], Any], default: Any, about: str, *, shown: str = "–", is_list: bool = False
) -> Any:
    """A dataclass field read from the property `name`; `shown` is its default as the documentation writes it."""
    return field(default=default, metadata={"setting": _Setting(name, parse, shown, about, is_list)})


def _group(kind: type[Any], name: str) -> Any:
    return field(default_factory=kind, metadata={"group": (kind, name)})


def _entries(kind: type[Any], name: str) -> Any:
    """A list of groups, `name[0]`, `name[1]`, …"""
    return field(default=(), metadata={"list": (kind, name)})


def _named_entries(kind: type[Any], name: str) -> Any:
    """A map of groups, `name.<id>`."""
    return field(default_factory=lambda: MappingProxyType({}), metadata={"map": (kind, name)})


@dataclass(frozen=True, slots=True)
class Server:
    address: str = _setting("address", values.text, "0.0.0.0", "address to listen on", shown="0.0.0.0")  # noqa: S104 - a container's service listens on all
    port: int = _setting("port", values.integer(0, 65535), 8080, "port; 0 takes a free one", shown="8080")
    context_path: str = _setting(
        "servlet.context-path", values.context_path, "", "path in front of every endpoint, for example `/pas`"
    )


@dataclass(frozen=True, slots=True)
class FailureThreshold:
    """A job pauses itself when more than `share` of at least `min_tasks` finished tasks failed; None: never."""

    share: float | None = _setting(
        "share",
        values.share,
        None,
        "a job pauses itself when a larger share of its finished tasks failed, for example 0.5",
        shown="off",
    )
    min_tasks: int = _setting(
        "min-tasks", values.integer(1, 10**9), 100, "finished tasks before the share counts", shown="100"
    )


@dataclass(frozen=True, slots=True)
class Backfill:
    enabled: bool = _setting(
        "enabled",
        values.boolean,
        False,
        "the REST endpoints, the database, the command publisher and the command consumer",
        shown="`false`",
    )
    topic: str = _setting(
        "topic", values.topic, "", "topic for `CreateArtifactCommand`, published to and consumed from", shown="required"
    )
    system_name: str = _setting(
        "system-name",
        values.text,
        "",
        "`publisher.system` of the command",
        shown="`jeap.messaging.kafka.system-name`",
    )
    service_name: str = _setting(
        "service-name",
        values.text,
        "",
        "`publisher.service` of the command and consumer group",
        shown="`jeap.messaging.kafka.service-name`",
    )
    max_references: int = _setting(
        "max-references",
        values.integer(1, 10**8),
        1_000_000,
        "references in one job; more is 413",
        shown="1000000",
    )
    max_body_size: int = _setting(
        "max-body-size",
        values.size,
        64 * 1024**2,
        "largest body of a submission; more is 413",
        shown="64MiB",
    )
    concurrency: int = _setting(
        "concurrency", values.integer(1, 10_000), 64, "tasks in flight in one process", shown="64"
    )
    max_attempts: int = _setting(
        "max-attempts", values.integer(1, 100), 4, "attempts for a transient failure of the source", shown="4"
    )
    retry_backoff: float = _setting(
        "retry-backoff",
        values.duration,
        0.5,
        "first pause between attempts, doubled up to 30 s, with jitter",
        shown="500ms",
    )
    window: int = _setting(
        "window",
        values.integer(1, 1_000_000),
        1_000,
        "commands of one job published and not yet answered",
        shown="1000",
    )
    redelivery_after: float = _setting(
        "redelivery-after",
        values.duration,
        3600.0,
        "a command unanswered for so long is published again; harmless",
        shown="1h",
    )
    max_bytes_in_flight: int = _setting(
        "max-bytes-in-flight",
        values.size,
        256 * 1024**2,
        "documents in memory of one process; more waits",
        shown="256MiB",
    )
    failure_threshold: FailureThreshold = _group(FailureThreshold, "failure-threshold")


@dataclass(frozen=True, slots=True)
class ArchivedArtifact:
    enabled: bool = _setting("enabled", values.boolean, True, "publish the archived artifact event", shown="`true`")
    event_topic: str = _setting(
        "event-topic", values.topic, "", "topic of `SharedArchivedArtifactVersionCreatedEvent`", shown="required"
    )
    system_id: str = _setting("system-id", values.text, "", "id of the system, as the event names it", shown="required")
    system_name: str = _setting(
        "system-name", values.text, "", "name of the system, part of the event's variant", shown="required"
    )


@dataclass(frozen=True, slots=True)
class Http:
    timeout: float = _setting(
        "timeout", values.duration, 5.0, "connecting to a source, and each wait for data", shown="5s"
    )
    total_timeout: float = _setting(
        "total-timeout", values.duration, 30.0, "a whole fetch or token request", shown="30s"
    )
    allow_insecure: bool = _setting(
        "allow-insecure", values.boolean, False, "http for sources and token endpoints beyond loopback", shown="`false`"
    )
    max_response_size: int = _setting(
        "max-response-size", values.size, 32 * 1024**2, "largest document; a larger one fails the task", shown="32MiB"
    )


@dataclass(frozen=True, slots=True)
class Connection:
    """S3; what is left out is found in the ambient AWS configuration."""

    access_url: str | None = _setting("access-url", values.http_url, None, "S3 endpoint; left out on AWS", shown="AWS")
    region: str | None = _setting("region", values.text, None, "S3 region", shown="ambient")
    access_key: str | None = _setting(
        "access-key", values.text, None, "access key id; left out, the ambient credentials serve", shown="ambient"
    )
    secret_key: SecretStr | None = _setting(
        "secret-key", values.secret, None, "secret access key (secret)", shown="ambient"
    )


@dataclass(frozen=True, slots=True)
class Storage:
    bucket: str = _setting("bucket", values.bucket, "", "target bucket", shown="required")
    prefix_mode: str = _setting(
        "prefix-mode",
        values.choice("NONE", "DAY", "MONTH", "YEAR"),
        "NONE",
        "prefix of the object keys: `NONE`, `DAY` (`yyyyMMdd/`), `MONTH` (`yyyyMM/`), `YEAR` (`yyyy/`), in UTC",
        shown="`NONE`",
    )
    allowed_buckets: tuple[str, ...] = _setting(
        "allowed-buckets",
        values.several(values.bucket),
        (),
        "buckets a source may ask for by header",
        shown="none",
        is_list=True,
    )
    allowed_prefixes: tuple[str, ...] = _setting(
        "allowed-prefixes",
        values.several(values.prefix),
        (),
        "prefixes a source may ask for by header",
        shown="none",
        is_list=True,
    )
    create_bucket: bool = _setting(
        "create-bucket",
        values.boolean,
        False,
        "make a missing bucket, with versioning and object lock",
        shown="`false`",
    )


@dataclass(frozen=True, slots=True)
class ObjectStorage:
    connection: Connection = _group(Connection, "connection")
    storage: Storage = _group(Storage, "storage")
    object_lock_enabled: bool = _setting(
        "object-lock-enabled", values.boolean, True, "lock each object for its retention", shown="`true`"
    )
    object_lock_mode: str = _setting(
        "object-lock-mode",
        values.choice("COMPLIANCE", "GOVERNANCE"),
        "COMPLIANCE",
        "`COMPLIANCE` or `GOVERNANCE`",
        shown="`COMPLIANCE`",
    )


@dataclass(frozen=True, slots=True)
class MetadataBackfill:
    enabled: bool = _setting(
        "enabled", values.boolean, False, "metadata backfill runs; needs `backfill.enabled`", shown="`false`"
    )
    batch_size: int = _setting(
        "batch-size", values.integer(1, 10_000), 100, "artifacts in one batch and transaction", shown="100"
    )
    all_versions: bool = _setting(
        "all-versions", values.boolean, False, "superseded stored objects too", shown="`false`"
    )


@dataclass(frozen=True, slots=True)
class Kafka:
    bootstrap_servers: str = _setting(
        "bootstrap-servers",
        values.servers,
        "",
        "`host:port`, several separated by commas",
        shown="required",
        is_list=True,
    )
    system_name: str = _setting("system-name", values.text, "", "default of `backfill.system-name`")
    service_name: str = _setting("service-name", values.text, "", "default of `backfill.service-name`")
    security_protocol: str = _setting(
        "security-protocol",
        values.choice("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"),
        "PLAINTEXT",
        "`PLAINTEXT`, `SSL`, `SASL_PLAINTEXT` or `SASL_SSL`",
        shown="`PLAINTEXT`",
    )
    sasl_mechanism: str | None = _setting(
        "sasl-mechanism",
        values.choice("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"),
        None,
        "`PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`; required with SASL",
    )
    username: str | None = _setting("username", values.text, None, "user; required with SASL")
    password: SecretStr | None = _setting("password", values.secret, None, "password; required with SASL (secret)")
    ssl_ca_file: Path | None = _setting(
        "ssl-ca-file", values.path, None, "PEM file of the authorities trusted", shown="system's"
    )
    ssl_cert_file: Path | None = _setting("ssl-cert-file", values.path, None, "PEM file of the client certificate")
    ssl_key_file: Path | None = _setting("ssl-key-file", values.path, None, "PEM file of the client's key")
    ssl_key_password: SecretStr | None = _setting(
        "ssl-key-password", values.secret, None, "password of the client's key (secret)"
    )
    create_topics: bool = _setting("create-topics", values.boolean, False, "make missing topics", shown="`false`")
    encoding: str = _setting(
        "encoding",
        values.choice("json", "avro"),
        "json",
        "encoding of what is published: `json` (`avro` is not built yet)",
        shown="`json`",
    )


@dataclass(frozen=True, slots=True)
class Issuer:
    """A token issuer; `jwk_set_uri` is "" for the development issuer of the embedded service only."""

    issuer: str = _setting("issuer", values.http_url, "", "`iss` of the tokens", shown="required")
    jwk_set_uri: str = _setting("jwk-set-uri", values.http_url, "", "where its keys are", shown="required")


@dataclass(frozen=True, slots=True)
class ResourceServer:
    """Who may call. `issuers` has the one of `authorization-server` too, which comes first."""

    system_name: str | None = _setting(
        "system-name", values.text, None, "our system in semantic roles `<system>_@backfilljob_#write`"
    )
    audience: str | None = _setting("audience", values.text, None, "`aud` that a token must have", shown="not checked")
    issuers: tuple[Issuer, ...] = _entries(Issuer, "issuers")
    authorization_server: Issuer = _group(Issuer, "authorization-server")


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """Client credentials for the fetches whose archive type names it in `oauthClientId`."""

    token_uri: str = _setting("token-uri", values.http_url, "", "token endpoint", shown="required")
    client_id: str = _setting("client-id", values.text, "", "client id", shown="required")
    client_secret: SecretStr = _setting(
        "client-secret", values.secret, NO_SECRET, "client secret (secret)", shown="required"
    )
    scope: str | None = _setting("scope", values.text, None, "scopes asked for, separated by blanks")


@dataclass(frozen=True, slots=True)
class Datasource:
    """`postgresql://…`; on the embedded defaults `sqlite:///<absolute path>`."""

    url: SecretStr = _setting(
        "url",
        values.database_url,
        NO_SECRET,
        "PostgreSQL, `postgresql://user:password@host:port/name` (secret)",
        shown="required",
    )


@dataclass(frozen=True, slots=True)
class Settings:
    server: Server = _group(Server, "server")
    shutdown_timeout: float = _setting(
        "jeap.processarchive.shutdown-timeout",
        values.duration,
        25.0,
        "time after SIGTERM to finish or put back what is in flight",
        shown="25s",
    )
    backfill: Backfill = _group(Backfill, "jeap.processarchive.backfill")
    archive_types_location: Path = _setting(
        "jeap.processarchive.configuration.location",
        values.path,
        Path("config/archive-types.yml"),
        "the archive type configurations",
        shown="config/archive-types.yml",
    )
    registry_location: Path = _setting(
        "jeap.processarchive.registry.location",
        values.path,
        Path("contracts/archive-types"),
        "the archive data schemas",
        shown="contracts/archive-types",
    )
    archived_artifact: ArchivedArtifact = _group(ArchivedArtifact, "jeap.processarchive.archivedartifact")
    http: Http = _group(Http, "jeap.processarchive.http")
    object_storage: ObjectStorage = _group(ObjectStorage, "jeap.processarchive.objectstorage")
    metadata_backfill: MetadataBackfill = _group(MetadataBackfill, "jeap.processarchive.metadata-backfill")
    kafka: Kafka = _group(Kafka, "jeap.messaging.kafka")
    resource_server: ResourceServer = _group(ResourceServer, "jeap.security.oauth2.resourceserver")
    oauth_clients: Mapping[str, OAuthClient] = _named_entries(OAuthClient, "jeap.security.oauth2.client")
    datasource: Datasource = _group(Datasource, "jeap.datasource")
    given: frozenset[str] = frozenset()
    """Names of the properties that the file or a variable gives."""
    replaced: tuple[str, ...] = ()
    """Names of those that the embedded defaults replaced."""
    data_dir: Path | None = None
    """Absolute data directory of the embedded service; None: not embedded."""

    @property
    def embedded(self) -> bool:
        return self.data_dir is not None


S = TypeVar("S")


def load_settings(path: Path | None, environ: Mapping[str, str], *, embedded: Path | None = None) -> Settings:
    """The settings of the file and the environment, checked.

    The file is `path`, else the one named by PAS_CONFIG, else `./application.yml`; with `embedded` (the data
    directory) the last is the example of the repository, and what needs a server is replaced.
    Raises SettingsError with all mistakes at once.
    """
    source = read_source(_file(path, environ, embedded), environ, maps=("jeap.security.oauth2.client",))
    settings, origins = _bind_all(source)
    mistakes = source.mistakes + _unknown(source)
    if embedded is not None:
        settings, replaced = embedded_overrides(settings, embedded)
        settings = dataclasses.replace(settings, replaced=tuple(replaced))
    named = {mistake.split(":")[0] for mistake in mistakes}
    for name, problem in contradictions(settings):
        if name not in named:  # a value that could not be read is not reported as missing as well
            where = f" ({origins[name]})" if name in origins else ""
            mistakes.append(f"{name}: {problem}{where}")
    if source.file is None and not settings.given and embedded is None:
        mistakes.append(
            "settings file ./application.yml: not there; name one with --config or PAS_CONFIG, or start with --embedded"
        )
    if mistakes:
        raise SettingsError(list(dict.fromkeys(mistakes)))
    return settings


def embedded_overrides(settings: Settings, data_dir: Path) -> tuple[Settings, list[str]]:
    """The settings with Kafka connection, datasource, object store connection, bucket and issuers of the embedded
    service, on 127.0.0.1; and the names of the properties given that are replaced by this."""
    data_dir = data_dir.resolve()
    kept = {"jeap.messaging.kafka." + name for name in ("system-name", "service-name", "encoding", "create-topics")}
    replaced_groups = (
        "jeap.messaging.kafka.",
        "jeap.datasource.",
        "jeap.processarchive.objectstorage.connection.",
        "jeap.security.oauth2.resourceserver.issuers[",
        "jeap.security.oauth2.resourceserver.authorization-server.",
        "jeap.processarchive.objectstorage.storage.bucket",
        "server.address",
    )
    replaced = sorted(name for name in settings.given if name.startswith(replaced_groups) and name not in kept)
    old = settings.kafka
    store = settings.object_storage
    return dataclasses.replace(
        settings,
        server=dataclasses.replace(settings.server, address="127.0.0.1"),
        kafka=Kafka(
            system_name=old.system_name,
            service_name=old.service_name,
            encoding=old.encoding,
            create_topics=old.create_topics,
        ),
        datasource=Datasource(SecretStr(f"sqlite:///{data_dir / 'pas.sqlite'}")),
        object_storage=dataclasses.replace(
            store,
            connection=Connection(),
            storage=dataclasses.replace(store.storage, bucket=EMBEDDED_BUCKET),
        ),
        resource_server=dataclasses.replace(
            settings.resource_server, issuers=(Issuer(EMBEDDED_ISSUER, ""),), authorization_server=Issuer()
        ),
        data_dir=data_dir,
    ), replaced


def contradictions(settings: Settings) -> Iterator[tuple[str, str]]:
    """(property, problem) of everything that is missing or does not fit together."""
    archive, backfill = "jeap.processarchive.", settings.backfill
    if settings.metadata_backfill.enabled and not backfill.enabled:
        yield (
            archive + "metadata-backfill.enabled",
            "needs jeap.processarchive.backfill.enabled, which is false; switch both on or this one off",
        )
    if settings.kafka.encoding == "avro":
        yield "jeap.messaging.kafka.encoding", "avro is not built yet; use json"
    if settings.http.timeout > settings.http.total_timeout:
        yield archive + "http.timeout", f"must not be longer than {archive}http.total-timeout"
    if settings.http.max_response_size > backfill.max_bytes_in_flight:
        yield (
            archive + "http.max-response-size",
            f"must not be larger than {archive}backfill.max-bytes-in-flight, or such a document would wait for ever",
        )
    yield from _kafka_contradictions(settings.kafka)
    connection = settings.object_storage.connection
    if (connection.access_key is None) != (connection.secret_key is None):
        missing, other = ("access-key", "secret-key") if connection.access_key is None else ("secret-key", "access-key")
        group = archive + "objectstorage.connection."
        yield group + missing, f"missing, while {group}{other} is given"
    for client, oauth in settings.oauth_clients.items():
        group = f"jeap.security.oauth2.client.{client}."
        for name, given in (
            ("token-uri", oauth.token_uri),
            ("client-id", oauth.client_id),
            ("client-secret", oauth.client_secret.get_secret_value()),
        ):
            if not given:
                yield group + name, "missing"
        if insecure(oauth.token_uri) and not settings.http.allow_insecure:
            yield group + "token-uri", _INSECURE
    yield from _issuer_contradictions(settings)
    if backfill.enabled:
        yield from _missing(settings)


_INSECURE = "must be https; http is accepted for loopback, or with jeap.processarchive.http.allow-insecure"


def _missing(settings: Settings) -> Iterator[tuple[str, str]]:
    archive, backfill = "jeap.processarchive.", settings.backfill
    for name, given in (
        (archive + "backfill.topic", backfill.topic),
        ("jeap.datasource.url", settings.datasource.url.get_secret_value()),
        (archive + "objectstorage.storage.bucket", settings.object_storage.storage.bucket),
        ("jeap.messaging.kafka.bootstrap-servers", settings.kafka.bootstrap_servers or settings.embedded),
    ):
        if not given:
            yield name, "missing; required while jeap.processarchive.backfill.enabled is true"
    for name, given in (("system-name", backfill.system_name), ("service-name", backfill.service_name)):
        if not given:
            yield (
                archive + "backfill." + name,
                f"missing; set it or jeap.messaging.kafka.{name} while jeap.processarchive.backfill.enabled is true",
            )
    if not settings.resource_server.issuers:
        yield (
            "jeap.security.oauth2.resourceserver.issuers",
            "missing; list at least one with issuer and jwk-set-uri, or set authorization-server.issuer and "
            ".jwk-set-uri, while jeap.processarchive.backfill.enabled is true",
        )
    event = settings.archived_artifact
    if not event.enabled:
        return
    for name, given in (
        ("event-topic", event.event_topic),
        ("system-id", event.system_id),
        ("system-name", event.system_name),
    ):
        if not given:
            yield (
                archive + "archivedartifact." + name,
                f"missing; required while {archive}archivedartifact.enabled is true",
            )
    if event.event_topic and event.event_topic in (backfill.topic, f"{backfill.topic}-dlq"):
        yield archive + "archivedartifact.event-topic", f"must differ from {archive}backfill.topic and its -dlq"


def _kafka_contradictions(kafka: Kafka) -> Iterator[tuple[str, str]]:
    group = "jeap.messaging.kafka."
    protocol = kafka.security_protocol
    for name, given in (
        ("sasl-mechanism", kafka.sasl_mechanism),
        ("username", kafka.username),
        ("password", kafka.password),
    ):
        if protocol.startswith("SASL") and not given:
            yield group + name, f"missing; {group}security-protocol is {protocol}"
        if not protocol.startswith("SASL") and given:
            yield group + name, f"given, but {group}security-protocol is {protocol}"
    for name, file in (
        ("ssl-ca-file", kafka.ssl_ca_file),
        ("ssl-cert-file", kafka.ssl_cert_file),
        ("ssl-key-file", kafka.ssl_key_file),
    ):
        if file is not None and not protocol.endswith("SSL"):
            yield group + name, f"given, but {group}security-protocol is {protocol}"
        elif file is not None and not file.is_file():
            yield group + name, f"no such file: {file}"
    if (kafka.ssl_cert_file is None) != (kafka.ssl_key_file is None):
        missing, other = ("cert", "key") if kafka.ssl_cert_file is None else ("key", "cert")
        yield f"{group}ssl-{missing}-file", f"missing, while {group}ssl-{other}-file is given"


def _issuer_contradictions(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.embedded:
        return
    server = settings.resource_server
    single = server.authorization_server != Issuer()
    seen: set[str] = set()
    for position, issuer in enumerate(server.issuers):
        group = "jeap.security.oauth2.resourceserver."
        group += "authorization-server" if single and position == 0 else f"issuers[{position - single}]"
        for name, uri in (("issuer", issuer.issuer), ("jwk-set-uri", issuer.jwk_set_uri)):
            if not uri:
                yield f"{group}.{name}", "missing"
        if insecure(issuer.jwk_set_uri) and not settings.http.allow_insecure:
            yield f"{group}.jwk-set-uri", _INSECURE
        if issuer.issuer and issuer.issuer in seen:
            yield f"{group}.issuer", "the same issuer is listed twice"
        seen.add(issuer.issuer)


def insecure(url: str) -> bool:
    """http to another host than this one."""
    parts = urlsplit(url)
    if parts.scheme != "http":
        return False
    try:
        return not ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.hostname != "localhost"


def properties() -> list[Property]:
    """Every property there is, in the order of the groups."""
    return list(_properties(Settings, ""))


def _properties(kind: type[Any], prefix: str) -> Iterator[Property]:
    for item in fields(kind):
        if (setting := item.metadata.get("setting")) is not None:
            yield Property(prefix + setting.name, setting.shown, setting.about)
        for shape, suffix in (("group", "."), ("list", "[0]."), ("map", ".<id>.")):
            if shape in item.metadata:
                inner, name = item.metadata[shape]
                yield from _properties(inner, prefix + name + suffix)


def _file(path: Path | None, environ: Mapping[str, str], embedded: Path | None) -> Path | None:
    """The settings file, or None where the default one is not there: variables may be all there is."""
    named = environ.get("PAS_CONFIG", "")
    if path is not None or named:
        return path or Path(named)
    if embedded is not None:
        return EXAMPLE
    default = Path("application.yml")
    return default if default.exists() else None


def _bind_all(source: Source) -> tuple[Settings, dict[str, str]]:
    origins: dict[str, str] = {}
    settings = _bind(Settings, "", source, origins)
    backfill, kafka, server = settings.backfill, settings.kafka, settings.resource_server
    if server.authorization_server != Issuer():
        server = dataclasses.replace(server, issuers=(server.authorization_server, *server.issuers))
    settings = dataclasses.replace(
        settings,
        backfill=dataclasses.replace(
            backfill,
            system_name=backfill.system_name or kafka.system_name,
            service_name=backfill.service_name or kafka.service_name,
        ),
        resource_server=server,
        given=frozenset(origins),
    )
    return settings, origins


def _bind(kind: type[S], prefix: str, source: Source, origins: dict[str, str]) -> S:
    found: dict[str, Any] = {}
    for item in fields(kind):  # type: ignore[arg-type] # every kind is a dataclass
        if (setting := item.metadata.get("setting")) is not None:
            name = prefix + setting.name
            given = source.take_list(name) if setting.is_list else source.take(name)
            if given is not None:
                origins[name] = given.origin
            value = item.default if given is None else _parse(name, given, setting, source)
            found[item.name] = _locate(value, source.file) if isinstance(value, Path) else value
            if value is dataclasses.MISSING:
                found[item.name] = item.default
        elif "group" in item.metadata:
            inner, name = item.metadata["group"]
            found[item.name] = _bind(inner, f"{prefix}{name}.", source, origins)
        elif "list" in item.metadata:
            inner, name = item.metadata["list"]
            entries = source.entries_of_list(prefix + name)
            found[item.name] = tuple(_bind(inner, f"{entry}.", source, origins) for entry in entries)
        elif "map" in item.metadata:
            inner, name = item.metadata["map"]
            keys = {entry.metadata["setting"].name for entry in fields(inner)}
            entries = source.entries_of_map(prefix + name, keys)
            found[item.name] = MappingProxyType(
                {entry: _bind(inner, f"{prefix}{name}.{entry}.", source, origins) for entry in entries}
            )
    return kind(**found)


def _parse(name: str, given: Given, setting: _Setting, source: Source) -> Any:
    """The value, or MISSING with a mistake noted. The text is never shown: it may be a secret put in a wrong place."""
    text = given.text.strip()
    if text.startswith("${") and text.endswith("}"):
        source.mistakes.append(
            f"{name}: placeholders (${{…}}) are not replaced; set the variable {variable_of(name)} ({given.origin})"
        )
        return dataclasses.MISSING
    try:
        return setting.parse(given.text)
    except ValueError as error:
        source.mistakes.append(f"{name}: {error} ({given.origin})")
        return dataclasses.MISSING


def _locate(path: Path, file: Path | None) -> Path:
    """A relative path counts from the working directory, else from the settings file, else from the repository."""
    if path.is_absolute():
        return path
    places = [Path.cwd(), *([file.resolve().parent] if file else []), REPOSITORY]
    return next((place / path for place in places if (place / path).exists()), places[0] / path)


def _unknown(source: Source) -> list[str]:
    names = [each.name for each in properties()]
    mistakes = []
    for name, given in source.unknown("jeap"):
        if any(known.startswith((name + ".", name + "[")) for known in names):
            mistakes.append(f"{name}: is a group of properties, not a value ({given.origin})")
            continue
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.75)
        hint = f", did you mean {close[0]}?" if close else ""
        mistakes.append(f"{name}: unknown property{hint} ({given.origin})")
    return mistakes
