"""From settings to the values and connections that the stories are given; the embedded mode has its own."""

from pathlib import Path

import pytest

from app.broker.embedded import EmbeddedBroker
from app.broker.encoding import JSON, Encoding
from app.broker.kafka import KafkaBroker
from app.broker.messages import Publisher
from app.catalog.archive_types import Catalog
from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.jobs import FailureThreshold
from app.domain.live_rules import LiveRule, ReferencePaths
from app.domain.paths import Path as PathOf
from app.objectstore.filesystem import FilesystemObjectStore
from app.objectstore.s3 import S3ObjectStore
from app.process import adapters
from app.settings.load import load_settings
from app.settings.model import Settings
from tests.unit.settings.test_settings import COMPLETE


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(more: str = "", embedded: Path | None = None) -> Settings:
    """The complete settings, and lines that begin with whole names."""
    file = Path("application.yml")
    file.write_text(COMPLETE + more)
    return load_settings(file, {}, embedded=embedded)


def test_the_topics_are_those_of_commands_dead_letters_and_events() -> None:
    assert adapters.topics_of(load()) == ["commands", "commands-dlq", "events"]
    silent = load("jeap.processarchive.archivedartifact.enabled: false\n")
    assert adapters.topics_of(silent) == ["commands", "commands-dlq"]
    assert adapters.events(silent, Encoding()) is None


def test_the_topics_of_live_archive_types_have_that_of_their_dead_letters() -> None:
    rule = LiveRule(ReferencePaths(PathOf(("id",))))
    live = Catalog((ArchiveTypeConfiguration("M", "docs", "https://x.example/{id}", live=rule),))
    none = Catalog((ArchiveTypeConfiguration("M", "docs", "https://x.example/{id}"),))
    own = load("jeap.processarchive.live.dead-letter-topic: dead\n")
    assert adapters.topics_of_live(own, live) == {"docs", "dead"}
    assert adapters.topics_of_live(load(), live) == {"docs", "commands-dlq"}
    assert adapters.topics_of_live(own, none) == frozenset()
    assert adapters.topics_of_live(load("jeap.processarchive.live.enabled: false\n"), live) == frozenset()


def test_events_are_signed_by_the_service_name_of_kafka_where_it_has_one() -> None:
    events = adapters.events(load(), Encoding())
    assert events is not None
    assert (events.topic, events.publisher) == ("events", Publisher("PSF", "pas"))
    named = adapters.events(load("jeap.messaging.kafka.service-name: archive\n"), Encoding())
    assert named is not None
    assert named.publisher.service == "archive"


AVRO = "jeap.messaging.kafka: {encoding: avro, schema-registry-url: 'http://127.0.0.1:1'}\n"


async def test_messages_are_avro_where_that_is_set_and_only_what_is_sent_needs_a_schema() -> None:
    settings = load(AVRO)
    async with adapters.open_registry(settings) as registry:
        assert registry is not None
        encoding = adapters.encoding_of(settings, registry)
        events = adapters.events(settings, encoding)
        assert events is not None
        assert not any(
            each.is_ready for each in (adapters.commands(settings, encoding).encoder, events.key, events.value)
        )
        assert adapters.run_commands(settings, encoding).encoder is JSON, "no runs, no messages"
        assert adapters.job_event_encoder(settings, encoding) is JSON, "no topic, no messages"
        told = load(AVRO + "jeap.processarchive.backfill.event-topic: jobs\n")
        assert not adapters.job_event_encoder(told, encoding).is_ready
        running = load(AVRO + "jeap.processarchive.metadata-backfill.enabled: true\n")
        assert not adapters.run_commands(running, encoding).encoder.is_ready


async def test_a_registry_may_serve_for_reading_only() -> None:
    settings = load("jeap.messaging.kafka.schema-registry-url: http://127.0.0.1:1\n")
    async with adapters.open_registry(settings) as registry:
        assert registry is not None
        assert adapters.commands(settings, adapters.encoding_of(settings, registry)).encoder is JSON
    async with adapters.open_registry(load()) as registry:
        assert registry is None


def test_no_share_is_no_threshold() -> None:
    assert adapters.failure_threshold(load()) is None
    some = load("jeap.processarchive.backfill.failure-threshold.share: 0.5\n")
    assert adapters.failure_threshold(some) == FailureThreshold(0.5, 100)


def test_the_target_has_all_buckets_and_prefixes_without_slashes() -> None:
    storage = "jeap.processarchive.objectstorage.storage"
    target = adapters.target(load(f"{storage}.allowed-buckets: other, more\n{storage}.allowed-prefixes: x/y, z\n"))
    assert target.buckets == ("archive", "more", "other")
    assert target.allowed_prefixes == {"x/y", "z"}
    assert target.prefix_mode == "NONE"


def test_the_terms_of_plans_are_those_of_the_settings() -> None:
    store = "jeap.processarchive.objectstorage"
    terms = adapters.terms(load(f"{store}.storage.prefix-mode: DAY\n{store}.storage.allowed-buckets: other\n"), ())
    assert (terms.bucket, terms.prefix_mode, sorted(terms.allowed_buckets)) == ("archive", "DAY", ["other"])
    assert terms.lock_mode == "COMPLIANCE"
    assert adapters.terms(load(f"{store}.object-lock-mode: governance\n"), ()).lock_mode == "GOVERNANCE"
    assert adapters.terms(load(f"{store}.object-lock-enabled: false\n"), ()).lock_mode is None


def test_a_price_is_amount_and_currency() -> None:
    assert adapters.price(load()) is None
    group = "jeap.processarchive.forecast"
    assert adapters.price(load(f"{group}.price-per-gib-month: 2.5e-3\n{group}.currency: CHF\n")) == (0.0025, "CHF")
    assert adapters.price(load(f"{group}.price-per-gib-month: 0\n{group}.currency: CHF\n")) == (0, "CHF")


async def test_the_embedded_mode_has_files_in_the_place_of_servers() -> None:
    embedded = load(embedded=Path("data"))
    assert isinstance(adapters.open_broker(embedded), EmbeddedBroker)
    async with adapters.open_object_store(embedded) as store:
        assert isinstance(store, FilesystemObjectStore)
    assert adapters.resource_server(embedded).audience is None


async def test_else_there_are_kafka_and_s3() -> None:
    settings = load("jeap.processarchive.objectstorage.connection.access-url: http://127.0.0.1:9\n")
    assert isinstance(adapters.open_broker(settings), KafkaBroker)
    async with adapters.open_object_store(settings) as store:
        assert isinstance(store, S3ObjectStore)


def test_issuers_and_clients_are_taken_over() -> None:
    client = "jeap.security.oauth2.client.source"
    keys = f"{{token-uri: https://id.example/token, client-id: pas, client-secret: {'s' * 9}, scope: read}}"
    given = load(f"{client}: {keys}\n")
    assert [each.issuer for each in adapters.resource_server(given).issuers] == ["https://id.example"]
    (found,) = adapters.oauth_clients(given)
    assert (found.id, found.token_uri, found.client_id, found.scope) == (
        "source",
        "https://id.example/token",
        "pas",
        "read",
    )
