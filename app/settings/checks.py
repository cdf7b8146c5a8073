"""Finds missing settings, and settings that contradict each other."""

import ssl
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from app.domain.database_url import database_options
from app.settings.model import Kafka, Settings
from app.settings.values import TOPIC


def contradictions(settings: Settings) -> Iterator[tuple[str, str]]:
    """(property, problem) of every missing or contradicting setting."""
    archive, backfill = "jeap.processarchive.", settings.backfill
    if settings.metadata_backfill.enabled and not backfill.enabled:
        yield (
            archive + "metadata-backfill.enabled",
            "needs jeap.processarchive.backfill.enabled, which is false; switch both on or this one off",
        )
    if settings.http.timeout > settings.http.total_timeout:
        yield archive + "http.timeout", f"must not be longer than {archive}http.total-timeout"
    if settings.http.max_response_size > backfill.max_bytes_in_flight:
        yield (
            archive + "http.max-response-size",
            f"must not be larger than {archive}backfill.max-bytes-in-flight, or such a document would wait for ever",
        )
    yield from _kafka_contradictions(settings.kafka)
    yield from _registry_contradictions(settings.kafka)
    yield from _database_files(settings.datasource.url.get_secret_value())
    connection = settings.object_storage.connection
    if (connection.access_key is None) != (connection.secret_key is None):
        missing, other = ("access-key", "secret-key") if connection.access_key is None else ("secret-key", "access-key")
        group = archive + "objectstorage.connection."
        yield group + missing, f"missing, while {group}{other} is given"
    if (settings.forecast.price_per_gib_month is None) != (settings.forecast.currency is None):
        missing, other = ("currency", "price-per-gib-month")
        if settings.forecast.currency is not None:
            missing, other = other, missing
        yield f"{archive}forecast.{missing}", f"missing, while {archive}forecast.{other} is given"
    evidence = settings.evidence
    if evidence.timestamp_url is not None and evidence.signing_key is None and not settings.embedded:
        yield archive + "evidence.timestamp-url", f"needs {archive}evidence.signing-key: only what is signed is dated"
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
    yield from _page_contradictions(settings)
    if backfill.enabled:
        yield from missing_settings(settings, f"{archive}backfill.enabled is true")


_INSECURE = "must be https; http is accepted for loopback, or with jeap.processarchive.http.allow-insecure"


def missing_settings(settings: Settings, reason: str) -> Iterator[tuple[str, str]]:
    """(property, problem) of every setting that archiving needs; `reason` says why anything is archived."""
    archive, backfill = "jeap.processarchive.", settings.backfill
    for name, given in (
        (archive + "backfill.topic", backfill.topic),
        ("jeap.datasource.url", settings.datasource.url.get_secret_value()),
        (archive + "objectstorage.storage.bucket", settings.object_storage.storage.bucket),
        ("jeap.messaging.kafka.bootstrap-servers", settings.kafka.bootstrap_servers or settings.embedded),
    ):
        if not given:
            yield name, f"missing; required while {reason}"
    for name, given in (("system-name", backfill.system_name), ("service-name", backfill.service_name)):
        if not given:
            yield (
                archive + "backfill." + name,
                f"missing; set it or jeap.messaging.kafka.{name} while {reason}",
            )
    if not settings.resource_server.issuers and not settings.embedded:
        yield (
            "jeap.security.oauth2.resourceserver.issuers",
            "missing; list at least one with issuer and jwk-set-uri, or set authorization-server.issuer and "
            f".jwk-set-uri, while {reason}",
        )
    if backfill.topic and not TOPIC.fullmatch(f"{backfill.topic}-dlq"):
        yield archive + "backfill.topic", f"is too long: {backfill.topic}-dlq must be a topic of at most 249 characters"
    event, dead_letters = settings.archived_artifact, settings.live.dead_letter_topic
    for name, other in (
        ("backfill.topic", backfill.topic),
        ("backfill.event-topic", backfill.event_topic),
        ("archivedartifact.event-topic", event.event_topic if event.enabled else ""),
    ):
        if dead_letters and dead_letters == other != f"{backfill.topic}-dlq":  # of the default, `other` is told below
            yield archive + "live.dead-letter-topic", f"must differ from {archive}{name}"
    if backfill.event_topic and backfill.event_topic in (backfill.topic, f"{backfill.topic}-dlq"):
        yield archive + "backfill.event-topic", f"must differ from {archive}backfill.topic and its -dlq"
    if not event.enabled:
        return
    for name, given in (
        ("event-topic", event.event_topic),
        ("system-name", event.system_name),
    ):
        if not given:
            yield (
                archive + "archivedartifact." + name,
                f"missing; required while {archive}archivedartifact.enabled is true",
            )
    if event.event_topic and event.event_topic in (backfill.topic, f"{backfill.topic}-dlq"):
        yield archive + "archivedartifact.event-topic", f"must differ from {archive}backfill.topic and its -dlq"


def _database_files(url: str) -> Iterator[tuple[str, str]]:
    options = database_options(url.partition("?")[2])
    for name, file in (
        ("sslrootcert", options.sslrootcert),
        ("sslcert", options.sslcert),
        ("sslkey", options.sslkey),
    ):
        if file is not None and not Path(file).is_file():
            yield "jeap.datasource.url", f"{name}: no such file: {file}"


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


def _registry_contradictions(kafka: Kafka) -> Iterator[tuple[str, str]]:
    group = "jeap.messaging.kafka."
    url, ca = kafka.schema_registry_url, kafka.schema_registry_ca
    if url is None:
        if kafka.encoding == "avro":
            yield group + "schema-registry-url", f"missing; required while {group}encoding is avro"
        for name, given in (
            ("username", kafka.schema_registry_username),
            ("password", kafka.schema_registry_password),
            ("ca", ca),
        ):
            if given is not None:
                yield f"{group}schema-registry-{name}", f"given, but {group}schema-registry-url is not"
        return
    if (kafka.schema_registry_username is None) != (kafka.schema_registry_password is None):
        missing, other = ("username", "password")[:: 1 if kafka.schema_registry_username is None else -1]
        yield f"{group}schema-registry-{missing}", f"missing, while {group}schema-registry-{other} is given"
    if "?" in url:
        yield group + "schema-registry-url", "must not have a query (?)"
    if ca is None:
        return
    if not url.startswith("https"):
        yield group + "schema-registry-ca", f"given, but {group}schema-registry-url is not https"
    elif not ca.is_file():
        yield group + "schema-registry-ca", f"no such file: {ca}"
    else:
        try:
            ssl.create_default_context(cafile=ca)
        except (OSError, ValueError):
            yield group + "schema-registry-ca", f"no PEM file of certificates: {ca}"


def _issuer_contradictions(settings: Settings) -> Iterator[tuple[str, str]]:
    server = settings.resource_server
    single = bool(server.authorization_server.issuer or server.authorization_server.jwk_set_uri)
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


def _page_contradictions(settings: Settings) -> Iterator[tuple[str, str]]:
    client, group = settings.ui_client, "jeap.security.oauth2.ui-client."
    if settings.ui.trace_url is not None and "{traceId}" not in settings.ui.trace_url:
        yield "jeap.processarchive.ui.trace-url", "must have {traceId} in the place of the trace id"
    if settings.embedded:
        return
    if client.issuer and not client.client_id:
        yield group + "client-id", f"missing, while {group}issuer is given"
    if not client.issuer and (client.client_id or client.client_secret is not None):
        yield group + "issuer", f"missing, while {group}client-id or -secret is given"
    if insecure(client.issuer) and not settings.http.allow_insecure:
        yield group + "issuer", _INSECURE
    if client.issuer and client.issuer not in {each.issuer for each in settings.resource_server.issuers}:
        yield (
            group + "issuer",
            "its tokens are not accepted: list it among jeap.security.oauth2.resourceserver.issuers too",
        )


def insecure(url: str) -> bool:
    """Whether the URL is http to another host than this one."""
    parts = urlsplit(url)
    if parts.scheme != "http":
        return False
    try:
        return not ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.hostname != "localhost"
