"""Settings: every mistake at once, sources and precedence, secrets, embedded defaults."""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.process.check_config import check
from app.settings.load import EXAMPLE, SettingsError, load_settings
from app.settings.model import Settings, properties
from app.settings.source import variable_of

COMPLETE = """
jeap:
  processarchive:
    backfill: {enabled: true, topic: commands, system-name: psf, service-name: pas}
    archivedartifact: {event-topic: events, system-id: ch.psf, system-name: PSF}
    objectstorage.storage.bucket: archive
  messaging.kafka.bootstrap-servers: kafka:9092
  security.oauth2.resourceserver.issuers:
    - {issuer: "https://id.example", jwk-set-uri: "https://id.example/jwks"}
  datasource.url: postgresql://pas:hunter2@db:5432/pas
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(text: str, environ: Mapping[str, str] | None = None, embedded: Path | None = None) -> Settings:
    file = Path("application.yml")
    file.write_text(text)
    return load_settings(file, environ or {}, embedded=embedded)


def mistakes(text: str, environ: Mapping[str, str] | None = None, embedded: Path | None = None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(text, environ, embedded)
    return caught.value.mistakes


def one(text: str, environ: Mapping[str, str] | None = None) -> str:
    found = mistakes(text, environ)
    assert len(found) == 1, found
    return found[0]


def test_defaults_are_those_of_the_contract() -> None:
    settings = load(COMPLETE)
    assert settings.backfill.max_references == 1_000_000
    assert settings.backfill.max_body_size == 64 * 1024**2
    assert settings.backfill.concurrency == 64
    assert (settings.backfill.max_attempts, settings.backfill.retry_backoff) == (4, 0.5)
    assert (settings.backfill.window, settings.backfill.redelivery_after) == (1_000, 3600)
    assert settings.backfill.max_bytes_in_flight == 256 * 1024**2
    assert (settings.backfill.failure_threshold.share, settings.backfill.failure_threshold.min_tasks) == (None, 100)
    assert settings.archived_artifact.enabled
    assert (settings.http.timeout, settings.http.total_timeout) == (5, 30)
    assert (settings.http.allow_insecure, settings.http.max_response_size) == (False, 32 * 1024**2)
    assert settings.object_storage.storage.prefix_mode == "NONE"
    assert (settings.object_storage.object_lock_enabled, settings.object_storage.object_lock_mode) == (
        True,
        "COMPLIANCE",
    )
    assert settings.metadata_backfill == dataclasses.replace(
        settings.metadata_backfill, enabled=False, batch_size=100, all_versions=False
    )
    assert (settings.server.port, settings.shutdown_timeout) == (8080, 25)
    assert not settings.embedded


def test_all_mistakes_are_reported_at_once_with_property_and_place() -> None:
    found = mistakes(
        """
jeap.processarchive:
  backfill: {enabled: true, topc: x, window: 0}
  http.timeout: 5
jeap.security.oauth2.client.source: {token-uri: "http://far.example/token", client-id: a}
""",
        {"JEAP_DATASOURCE_URL": "mysql://u:hunter2@db/x"},
    )
    text = "\n".join(found)
    assert "jeap.processarchive.backfill.window: must be from 1 to 1,000,000 (application.yml line 3)" in found
    assert (
        "jeap.processarchive.backfill.topc: unknown property, did you mean jeap.processarchive.backfill.topic? "
        "(application.yml line 3)" in found
    )
    assert any(line.startswith("jeap.processarchive.http.timeout: must be a duration with a unit") for line in found)
    assert any(line.startswith("jeap.security.oauth2.client.source.token-uri: must be https") for line in found)
    assert "jeap.security.oauth2.client.source.client-secret: missing" in found
    assert any(line.startswith("jeap.datasource.url: ") and "JEAP_DATASOURCE_URL" in line for line in found)
    for name in ("objectstorage.storage.bucket", "archivedartifact.system-name", "backfill.service-name"):
        assert f"jeap.processarchive.{name}: missing" in text
    assert "jeap.security.oauth2.resourceserver.issuers: missing" in text
    assert "hunter2" not in text
    assert all("\n" not in line for line in found)


def test_nothing_is_required_while_backfill_is_disabled() -> None:
    assert not load("jeap.processarchive.backfill.enabled: false").backfill.enabled


def test_metadata_backfill_without_backfill_is_refused_and_both_properties_are_named() -> None:
    line = one("jeap.processarchive.metadata-backfill.enabled: true")
    assert "jeap.processarchive.metadata-backfill.enabled" in line
    assert "jeap.processarchive.backfill.enabled" in line


def test_nested_dotted_and_underscored_keys_mix() -> None:
    settings = load("jeap.processarchive: {backfill.retry_backoff: 2m, http: {total_timeout: 1h, timeout: 500ms}}")
    assert (settings.backfill.retry_backoff, settings.http.total_timeout, settings.http.timeout) == (120, 3600, 0.5)


def test_a_property_given_twice_is_a_mistake() -> None:
    assert "given twice" in one(
        "jeap.processarchive.backfill.window: 1\njeap:\n  processarchive.backfill: {window: 2}\n"
    )
    assert "given twice" in one("jeap: {datasource: {url: 'postgresql://h/x'}}\njeap: {datasource: {}}\n")


def test_variables_go_before_the_file_and_empty_ones_do_not_count() -> None:
    settings = load(
        COMPLETE,
        {
            "JEAP_PROCESSARCHIVE_BACKFILL_SYSTEM_NAME": "other",
            "JEAP_PROCESSARCHIVE_BACKFILL_TOPIC": "",
            "JEAP_PROCESSARCHIVE_BACKFILL_NONSENSE": "Kubernetes injects such names",
            "JEAP_SECURITY_OAUTH2_RESOURCESERVER_ISSUERS_0_ISSUER": "https://new.example",
            "JEAP_PROCESSARCHIVE_OBJECTSTORAGE_STORAGE_ALLOWED_BUCKETS": "one-bucket, two-bucket",
        },
    )
    assert (settings.backfill.system_name, settings.backfill.topic) == ("other", "commands")
    assert settings.resource_server.issuers[0].issuer == "https://new.example"
    assert settings.object_storage.storage.allowed_buckets == ("one-bucket", "two-bucket")


def test_map_entries_have_variables_only_where_the_file_has_them(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    client = 'jeap.security.oauth2.client: {my_client.a: {token-uri: "https://x.example/t", client-id: me}}\n'
    environ = {
        "JEAP_SECURITY_OAUTH2_CLIENT_MY_CLIENT_A_CLIENT_SECRET_FILE": str(secret),
        "JEAP_SECURITY_OAUTH2_CLIENT_OTHER_CLIENT_ID": "ignored",
    }
    clients = load(COMPLETE + client, environ).oauth_clients
    assert list(clients) == ["my_client.a"]
    assert clients["my_client.a"].client_secret.get_secret_value() == "s3cret"


def test_a_variable_and_its_file_at_once_are_a_mistake(tmp_path: Path) -> None:
    line = one(COMPLETE, {"JEAP_DATASOURCE_URL": "postgresql://h/x", "JEAP_DATASOURCE_URL_FILE": str(tmp_path / "no")})
    assert line.startswith("jeap.datasource.url: both variables")
    assert "cannot read the file" in one(COMPLETE, {"JEAP_DATASOURCE_URL_FILE": str(tmp_path / "no")})


def test_secrets_show_neither_in_repr_nor_in_mistakes() -> None:
    text = COMPLETE + "jeap.processarchive.objectstorage.connection: {access-key: a, secret-key: hunter3}\n"
    shown = repr(load(text)) + str(load(text))
    assert "hunter" not in shown
    assert "hunter" not in "\n".join(
        mistakes(COMPLETE + "jeap: {datasource: {password: hunter4}, messaging.kafka.security-protocol: hunter5}")
    )


def test_a_secret_in_broken_yaml_is_not_quoted() -> None:
    line = one("jeap:\n  datasource:\n    url: 'hunter2\n  x: [")
    assert "not valid YAML" in line
    assert "hunter2" not in line


def test_placeholders_are_refused_with_the_variable_to_set() -> None:
    line = one(COMPLETE.replace("bucket: archive", "bucket: ${BUCKET}"))
    assert "JEAP_PROCESSARCHIVE_OBJECTSTORAGE_STORAGE_BUCKET" in line


def test_names_of_the_command_default_to_those_of_kafka() -> None:
    text = COMPLETE.replace(", system-name: psf, service-name: pas", "")
    kafka = "jeap.messaging.kafka: {system-name: sys, service-name: svc}\n"
    backfill = load(text + kafka).backfill
    assert (backfill.system_name, backfill.service_name) == ("sys", "svc")
    assert all("jeap.messaging.kafka." in line for line in mistakes(text))


def test_a_single_issuer_can_be_named_as_authorization_server() -> None:
    start = COMPLETE.index("  security")
    text = COMPLETE[:start] + COMPLETE[COMPLETE.index("  datasource") :]
    group = "jeap.security.oauth2.resourceserver.authorization-server"
    settings = load(f"{text}{group}: {{issuer: 'https://a.example', jwk-set-uri: 'https://a.example/k'}}\n")
    assert [each.issuer for each in settings.resource_server.issuers] == ["https://a.example"]
    line = one(f"{text}{group}.issuer: https://a.example\n")
    assert line == f"{group}.jwk-set-uri: missing"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("jeap.processarchive.backfill.concurrency: 0", "from 1"),
        ("jeap.processarchive.backfill.enabled: yes", "true or false"),
        ("jeap.processarchive.backfill.failure-threshold.share: 1.5", "at most 1"),
        ("jeap.processarchive.backfill.failure-threshold.share: nan", "at most 1"),
        ("jeap.processarchive.backfill.redelivery-after: 0s", "longer than 0"),
        ("jeap.processarchive.backfill.max-body-size: 3 parsecs", "32MiB"),
        ("jeap.processarchive.http.timeout: 60s", "http.total-timeout"),
        ("jeap.processarchive.forecast.price-per-gib-month: 0.02", "forecast.currency: missing, while"),
        ("jeap.processarchive.forecast.currency: CHF", "forecast.price-per-gib-month: missing, while"),
        ("jeap.processarchive.forecast: {price-per-gib-month: -1, currency: CHF}", "a number from 0"),
        ("jeap.processarchive.forecast: {price-per-gib-month: nan, currency: CHF}", "a number from 0"),
        ("jeap.processarchive.forecast: {price-per-gib-month: 1 CHF, currency: CHF}", "a number from 0"),
        ("jeap.processarchive.http.max-response-size: 1GiB", "max-bytes-in-flight"),
        ("jeap.processarchive.objectstorage.object-lock-mode: LEGAL", "COMPLIANCE, GOVERNANCE"),
        ("jeap.processarchive.objectstorage.storage.prefix-mode: HOUR", "NONE, DAY, MONTH, YEAR"),
        ("jeap.processarchive.objectstorage.storage.bucket: Not_A_Bucket", "bucket name"),
        ("jeap.processarchive.objectstorage.storage.allowed-prefixes: [a/, ../b]", "'..'"),
        ("jeap.processarchive.objectstorage.storage.allowed-prefixes: [/a]", "leading slash"),
        ("jeap.processarchive.objectstorage.connection.access-key: a", "secret-key: missing"),
        ("jeap.processarchive.objectstorage.connection.access-url: ftp://x", "http or https"),
        ("jeap.messaging.kafka.encoding: avro", "schema-registry-url: missing; required while"),
        ("jeap.messaging.kafka.encoding: xml", "json, avro"),
        ("jeap.messaging.kafka.schema-registry-username: a", "schema-registry-url is not"),
        ("jeap.messaging.kafka.schema-registry-password: hunter2", "schema-registry-url is not"),
        ("jeap.messaging.kafka: {schema-registry-url: 'http://r', schema-registry-username: a}", "password: missing"),
        ("jeap.messaging.kafka: {schema-registry-url: 'http://r', schema-registry-password: a}", "username: missing"),
        ("jeap.messaging.kafka.schema-registry-url: http://a:hunter2@r", "must not contain credentials"),
        ("jeap.messaging.kafka.schema-registry-url: http://r/?a=b", "must not have a query"),
        ("jeap.messaging.kafka: {schema-registry-url: 'http://r', schema-registry-ca: ca.pem}", "is not https"),
        ("jeap.messaging.kafka: {schema-registry-url: 'https://r', schema-registry-ca: no.pem}", "no such file"),
        ("jeap.messaging.kafka: {schema-registry-url: 'https://r', schema-registry-ca: application.yml}", "no PEM"),
        ("jeap.messaging.kafka.bootstrap-servers: kafka", "host:port"),
        ("jeap.messaging.kafka.username: a", "security-protocol is PLAINTEXT"),
        ("jeap.messaging.kafka: {security-protocol: SSL, ssl-ca-file: nowhere.pem}", "no such file"),
        ("jeap.datasource.url: jdbc:postgresql://h/x", "drop the leading jdbc:"),
        ("jeap.datasource.url: postgresql://h/x?connect_timeout=3", "there are sslmode, ssl, application_name"),
        ("jeap.datasource.url: postgresql://h/x?sslmode=zz", "sslmode must be one of disable, allow, prefer"),
        ("jeap.datasource.url: postgresql://h/x?sslmode=verify-ca&sslrootcert=no.pem", "sslrootcert: no such file"),
        ("jeap.datasource.url: postgresql://h/x?connect_timeout=3", "has an option connect_timeout that is not known"),
        ("jeap.messaging.kafka: {password: {hunter2: 1}}", "kafka.password: must be a single value"),
        ("jeap.security.oauth2.resourceserver.issuers: [{issuer: 'https://a.ch', jwk-set-uri: 'http://b.c'}]", "https"),
        ("server.servlet.context-path: pas", "must start with /"),
        ("server.servlet.context-path: /..", "must not have the segments . and .."),
        ("server.servlet.context-path: /a/./b/", "must not have the segments . and .."),
        ("server.port: 70000", "65,535"),
        ("jeap.processarchive.backfill: true", "is a group"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_one_readable_line(line: str, said: str) -> None:
    assert said in one(line)


@pytest.mark.parametrize("secret", ["*hunter2", "&hunter2", "!hunter2", "!hunter2!x", "{hunter2: 1}", "[hunter2]"])
def test_a_secret_without_quotes_that_yaml_takes_for_something_else_is_a_mistake_without_it(secret: str) -> None:
    told = mistakes(f"jeap.messaging.kafka.password: {secret}")
    assert told
    assert "hunter2" not in " ".join(told)


def test_what_is_given_below_a_property_is_not_said() -> None:
    told = mistakes("jeap.security.oauth2.client.a: {client-secret: [hunter2]}")
    assert told[0].startswith(
        "jeap.security.oauth2.client.a.client-secret: must be a single value, not a list or group"
    )


def test_sasl_needs_its_three_properties() -> None:
    names = [line.split(":")[0] for line in mistakes("jeap.messaging.kafka.security-protocol: SASL_SSL")]
    assert names == [f"jeap.messaging.kafka.{name}" for name in ("sasl-mechanism", "username", "password")]


def test_a_settings_file_that_is_not_there_is_a_mistake() -> None:
    with pytest.raises(SettingsError, match="nowhere"):
        load_settings(None, {"PAS_CONFIG": "nowhere.yml"})
    with pytest.raises(SettingsError, match="--embedded"):
        load_settings(None, {})
    with pytest.raises(SettingsError, match="--embedded"):  # `pas serve --port 8080` alone would serve nothing
        load_settings(None, {"SERVER_PORT": "8080"})


def test_without_the_default_file_variables_are_enough() -> None:
    assert load_settings(None, {"JEAP_PROCESSARCHIVE_BACKFILL_ENABLED": "false"}).given


def test_other_top_level_keys_are_not_looked_at() -> None:
    assert load("spring.application.name: x\nlogging.level: debug\nserver.unknown: 1\nserver.port: 0").server.port == 0


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("server.prot: 1", "server.port"),
        ("jaep.processarchive.backfill.enabled: true", "jeap.processarchive.backfill.enabled"),
    ],
)
def test_a_top_level_key_that_is_nearly_one_of_ours_is_a_mistake(line: str, meant: str) -> None:
    name = line.split(":")[0]
    assert f"{name}: unknown property, did you mean {meant}? (application.yml line 1)" in mistakes(line)


def test_embedded_replaces_connections_and_keeps_the_rest(tmp_path: Path) -> None:
    text = COMPLETE + "jeap.security.oauth2.resourceserver.audience: pas\nserver.address: 0.0.0.0\n"
    settings = load(text, embedded=Path("data"))
    assert settings.embedded
    assert settings.data_dir == tmp_path / "data"
    assert settings.server.address == "127.0.0.1"
    assert settings.datasource.url.get_secret_value() == f"sqlite:///{tmp_path}/data/pas.sqlite"
    assert settings.object_storage.storage.bucket == "archive"
    assert settings.resource_server.issuers == ()
    assert (settings.kafka.bootstrap_servers, settings.backfill.topic) == ("", "commands")
    assert settings.replaced == (
        "jeap.datasource.url",
        "jeap.messaging.kafka.bootstrap-servers",
        "jeap.processarchive.objectstorage.storage.bucket",
        "jeap.security.oauth2.resourceserver.audience",
        "jeap.security.oauth2.resourceserver.issuers[0].issuer",
        "jeap.security.oauth2.resourceserver.issuers[0].jwk-set-uri",
        "server.address",
    )


def test_embedded_stays_json_and_says_so() -> None:
    registry = "jeap.messaging.kafka: {encoding: avro, schema-registry-url: 'http://r', auto-register-schema: false}\n"
    settings = load(COMPLETE + registry, embedded=Path("data"))
    assert (settings.kafka.encoding, settings.kafka.schema_registry_url) == ("json", None)
    assert [name for name in settings.replaced if "schema" in name or "encoding" in name] == [
        "jeap.messaging.kafka.auto-register-schema",
        "jeap.messaging.kafka.encoding",
        "jeap.messaging.kafka.schema-registry-url",
    ]
    assert load(COMPLETE + "jeap.messaging.kafka.encoding: avro\n", embedded=Path("data")).embedded


def test_embedded_does_not_mind_mistakes_in_what_it_replaces() -> None:
    text = COMPLETE.replace("postgresql://pas:hunter2@db:5432/pas", "${DATABASE_URL}")
    assert load(text, embedded=Path("data")).embedded
    assert mistakes(text)


def test_embedded_without_a_file_uses_the_example_of_the_repository() -> None:
    settings = load_settings(None, {}, embedded=Path("data"))
    assert settings.backfill.enabled
    assert settings.archive_types_location == EXAMPLE.parent / "archive-types.yml"
    assert settings.registry_location.is_dir()


def test_relative_paths_count_from_the_working_directory_then_from_the_settings_file(tmp_path: Path) -> None:
    folder = tmp_path / "settings"
    (folder / "config").mkdir(parents=True)
    (folder / "application.yml").write_text("jeap: {}")
    assert load_settings(folder / "application.yml", {}).archive_types_location == tmp_path / "config/archive-types.yml"
    (folder / "config" / "archive-types.yml").touch()
    assert load_settings(folder / "application.yml", {}).archive_types_location.is_relative_to(folder)
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "archive-types.yml").touch()
    found = load_settings(folder / "application.yml", {}).archive_types_location
    assert found == tmp_path / "config/archive-types.yml"


def test_the_example_passes_check_config_as_it_is() -> None:
    found = check(EXAMPLE, {})
    assert found.mistakes == []
    assert found.checked[0].endswith("config/archive-types.yml (2)")
    assert found.checked[1].startswith("schemas: /")


def test_check_config_says_when_the_switch_is_off_and_nothing_else_was_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "application.yml"
    file.write_text("server.port: 8081")
    [line] = check(file, {}).checked
    assert "jeap.processarchive.backfill.enabled is false" in line


def test_check_config_reports_settings_archive_types_and_schemas_together() -> None:
    Path("types.yml").write_text("archiveTypes: [{messageType: A, topic: t}]")
    Path("application.yml").write_text(
        COMPLETE + "jeap.processarchive: {configuration.location: types.yml, registry.location: nowhere, backfil: 1}\n"
    )
    found = "\n".join(check(None, {}).mistakes)
    assert "jeap.processarchive.backfil: " in found
    assert "types.yml" in found
    assert "jeap.processarchive.registry.location: " in found
    assert "nowhere: the registry" in found


def test_a_topic_whose_dead_letter_topic_would_be_too_long_is_a_mistake() -> None:
    assert load(COMPLETE.replace("topic: commands", f"topic: {'t' * 245}")).backfill.topic
    assert "is too long" in one(COMPLETE.replace("topic: commands", f"topic: {'t' * 246}"))


def test_what_follows_from_a_value_that_cannot_be_read_is_no_second_mistake() -> None:
    text = "jeap.processarchive: {backfill.enabled: maybe, metadata-backfill.enabled: true}"
    assert one(text).startswith("jeap.processarchive.backfill.enabled: must be true or false")


def test_every_property_has_a_variable_of_its_own_and_none_is_the_file_of_another() -> None:
    variables = [each.variable for each in properties()]
    assert len(set(variables)) == len(variables)
    assert not {f"{variable}_FILE" for variable in variables} & set(variables)
    assert variable_of("jeap.security.oauth2.resourceserver.issuers[0].jwk-set-uri") == (
        "JEAP_SECURITY_OAUTH2_RESOURCESERVER_ISSUERS_0_JWK_SET_URI"
    )


def test_every_default_of_the_documentation_is_the_default_of_the_code() -> None:
    settings = load("jeap.processarchive.backfill.enabled: false")
    shown = {each.name: each.default.strip("`") for each in properties()}
    text = "jeap.processarchive.backfill.enabled: false\n" + "".join(
        f"{name}: {default}\n"
        for name, default in shown.items()
        if re.fullmatch(r"[0-9.]+|[0-9]+(ms|s|h|MiB)|true|false|NONE|COMPLIANCE|PLAINTEXT|json|con.+/.+", default)
        and name != "jeap.processarchive.backfill.enabled"
    )
    assert dataclasses.replace(load(text), given=frozenset()) == dataclasses.replace(settings, given=frozenset())


@pytest.mark.parametrize(
    ("topic", "other"),
    [("commands", "backfill.topic"), ("jobs", "backfill.event-topic"), ("events", "archivedartifact.event-topic")],
)
def test_live_dead_letters_have_a_topic_of_their_own(topic: str, other: str) -> None:
    group = "jeap.processarchive."
    settings = COMPLETE + f"{group}backfill.event-topic: jobs\n"
    load(settings + f"{group}live.dead-letter-topic: letters\n")
    found = one(settings + f"{group}live.dead-letter-topic: {topic}\n")
    assert found.startswith(f"{group}live.dead-letter-topic: must differ from {group}{other} (")
