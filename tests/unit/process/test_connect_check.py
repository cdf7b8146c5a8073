"""`pas check-config --connect`: each server is tried once, and none of them is written to."""

import asyncio
import dataclasses
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from app.__main__ import main
from app.api.auth.callers import KeySets
from app.broker import kafka, kafka_connection
from app.domain.errors import Unavailable
from app.domain.readiness import BROKER, OBJECT_STORE
from app.process import adapters, check_config, connect_check
from app.process.check_config import CheckedSettings
from app.process.connect_check import TriedServers, connect
from app.settings.load import load_settings
from app.settings.model import Settings
from tests.support.authority import Authority
from tests.support.schema_registry import FakeRegistry, schema_registry

SETTINGS = """
jeap:
  processarchive:
    backfill: {enabled: true, topic: commands, system-name: psf, service-name: pas}
    archivedartifact: {event-topic: events, system-name: PSF}
    objectstorage.storage: {bucket: archive, allowed-buckets: [other]}
    objectstorage.connection: {access-url: "http://127.0.0.1:1", access-key: key, secret-key: hunter2}
  messaging.kafka.bootstrap-servers: 127.0.0.1:1
  security.oauth2.resourceserver.issuers:
    - {issuer: "https://one.example", jwk-set-uri: "http://127.0.0.1:1/one"}
    - {issuer: "https://two.example", jwk-set-uri: "http://127.0.0.1:1/two"}
  security.oauth2.client.source: {token-uri: "http://127.0.0.1:1/token", client-id: me, client-secret: hunter2}
  datasource.url: postgresql://pas:hunter2@127.0.0.1:1/pas
"""
WHAT = [
    "database",
    "topics commands, commands-dlq, events",
    "object store, archive",
    "object store, other",
    "issuer https://one.example",
    "issuer https://two.example",
    "token endpoint of client source",
]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    Path("application.yml").write_text(SETTINGS)
    return load_settings(None, {})


class Broker:
    """In the place of Kafka; what else would be called is not there."""

    missing: Sequence[str] = ()
    reasons: list[str]

    def __init__(self) -> None:
        self.reasons = []

    async def start(self) -> None: ...

    async def missing_topics(self, _topics: Sequence[str]) -> Sequence[str]:
        if self.reasons:
            raise Unavailable(BROKER, self.reasons.pop(0))
        return self.missing

    async def close(self) -> None: ...


class Store:
    """In the place of S3; `put` and `prepare` are not there."""

    reasons: dict[str, str]

    def __init__(self) -> None:
        self.reasons = {}

    async def examine(self, bucket: str) -> None:
        if bucket in self.reasons:
            raise Unavailable(OBJECT_STORE, self.reasons[bucket])


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    broker = Broker()
    monkeypatch.setattr(adapters, "open_broker", lambda _settings: broker)
    monkeypatch.setattr(connect_check, "AGAIN", 0.0)
    return broker


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    store = Store()

    @asynccontextmanager
    async def opened(_settings: Settings) -> AsyncIterator[Store]:
        yield store

    monkeypatch.setattr(adapters, "open_object_store", opened)
    return store


async def tried(settings: Settings) -> dict[str, str | None]:
    return {each.what: each.problem for each in await connect(settings)}


async def test_every_server_that_is_away_is_named_once_and_no_secret(
    settings: Settings, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka, "START_SECONDS", 0.3)
    monkeypatch.setattr(kafka_connection, "CONNECT_SECONDS", 0.3)
    found = await connect(settings)
    assert [each.what for each in found] == WHAT
    problems = {each.what for each in found if each.problem}
    assert problems == set(WHAT) - {"object store, archive", "object store, other"}
    assert "hunter2" not in "\n".join(map(str, found))
    assert store.reasons == {}


async def test_missing_topics_are_named_and_never_made(
    settings: Settings, broker: Broker, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker.missing = ["events"]
    problem = (await tried(settings))[WHAT[1]]
    assert problem is not None
    assert problem.startswith("missing topic: events")
    makes = dataclasses.replace(settings, kafka=dataclasses.replace(settings.kafka, create_topics=True))
    opened: list[Settings] = []

    def opening(given: Settings) -> Broker:
        opened.append(given)
        return broker

    monkeypatch.setattr(adapters, "open_broker", opening)
    assert (await tried(makes))[WHAT[1]] is None  # the service makes them when it starts
    assert not opened[0].kafka.create_topics


async def test_a_first_connection_is_waited_for(settings: Settings, broker: Broker, store: Store) -> None:
    broker.reasons = ["not connected yet"] * 3
    assert (await tried(settings))[WHAT[1]] is None
    broker.reasons = ["not connected yet", "SASL authentication failed"]
    assert (await tried(settings))[WHAT[1]] == "SASL authentication failed"


async def test_a_broker_that_takes_the_connection_and_never_answers_is_given_up(
    settings: Settings, broker: Broker, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_topics: Sequence[str]) -> Sequence[str]:
        raise Unavailable(BROKER, "not connected yet")

    monkeypatch.setattr(broker, "missing_topics", never)
    monkeypatch.setattr(connect_check, "LIMIT", 0.4)
    monkeypatch.setattr(connect_check, "AGAIN", 0.05)
    assert str((await tried(settings))[WHAT[1]]).startswith("no answer within")


async def test_a_bucket_that_is_away_is_named_unless_the_service_makes_it(
    settings: Settings, broker: Broker, store: Store
) -> None:
    store.reasons = {"other": "bucket other: HTTP 404 NoSuchBucket; create it"}
    found = await tried(settings)
    assert found["object store, archive"] is None
    assert found["object store, other"] == store.reasons["other"]
    storage = dataclasses.replace(settings.object_storage.storage, create_bucket=True)
    makes = dataclasses.replace(settings, object_storage=dataclasses.replace(settings.object_storage, storage=storage))
    assert (await tried(makes))["object store, other"] is None
    store.reasons = {"other": "bucket other has no object lock"}
    assert (await tried(makes))["object store, other"] == "bucket other has no object lock"


async def test_what_never_answers_is_given_up(
    settings: Settings, broker: Broker, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_bucket: str) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(store, "examine", never)
    monkeypatch.setattr(connect_check, "LIMIT", 0.2)
    assert (await tried(settings))["object store, archive"] == "no answer within 0 s"


async def test_keys_of_one_issuer_are_not_those_of_another(
    settings: Settings, broker: Broker, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def key_sets(given: Settings) -> KeySets:
        [issuer] = given.resource_server.issuers
        return KeySets.static(issuer.issuer, ()) if "one" in issuer.issuer else of(given)

    of = adapters.key_sets_of
    monkeypatch.setattr(adapters, "key_sets_of", key_sets)
    found = await tried(settings)
    assert found["issuer https://one.example"] is None
    assert found["issuer https://two.example"]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
async def test_the_timestamp_authority_is_asked_for_a_timestamp(
    settings: Settings, broker: Broker, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path / "authority")
    evidence = dataclasses.replace(settings.evidence, timestamp_url="http://tsa.example.org/")
    dated = dataclasses.replace(settings, evidence=evidence)
    monkeypatch.setattr(adapters, "timestamp_authority", lambda _settings: authority.over_http())
    what = "timestamp authority http://tsa.example.org/"
    assert (await tried(dated))[what] is None
    authority.answers.append(httpx.Response(403))
    assert (await tried(dated))[what] == "HTTP 403"
    authority.answers.append(httpx.Response(200, content=b"hello"))
    assert "it is no timestamp" in str((await tried(dated))[what])


async def test_a_timestamp_authority_that_is_away_is_named(settings: Settings, broker: Broker, store: Store) -> None:
    evidence = dataclasses.replace(settings.evidence, timestamp_url="http://127.0.0.1:1/")
    found = await tried(dataclasses.replace(settings, evidence=evidence))
    assert list(found) == [*WHAT, "timestamp authority http://127.0.0.1:1/"]
    assert found["timestamp authority http://127.0.0.1:1/"]


async def with_registry(settings: Settings, **kafka: object) -> tuple[str | None, FakeRegistry]:
    """What is said of the registry, and the registry as it was asked."""
    async with schema_registry() as fake:
        changed = dataclasses.replace(settings.kafka, schema_registry_url=fake.url, **kafka)  # type: ignore[arg-type]
        found = await tried(dataclasses.replace(settings, kafka=changed))
        return found[f"schema registry {fake.url}"], fake


async def test_a_schema_registry_is_tried_and_gets_nothing(settings: Settings, broker: Broker, store: Store) -> None:
    assert not any("schema registry" in what for what in await tried(settings))
    problem, fake = await with_registry(settings, encoding="avro")
    assert problem is None
    assert (fake.subjects, fake.compatibility) == ({}, {})
    for encoding, said in (("avro", "subject commands-ch.admin"), ("json", "None")):
        problem, fake = await with_registry(settings, encoding=encoding, auto_register_schema=False)
        assert str(problem).startswith(said)
        assert fake.subjects == {}


def test_secrets_that_a_reason_quotes_are_blotted_out() -> None:
    assert "hunter2" not in str(TriedServers("database", "cannot reach postgresql://pas:hunter2@db/pas"))


@pytest.mark.parametrize("problem", [None, "away"])
def test_one_that_failed_is_exit_code_1(
    problem: str | None, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def answers(_settings: Settings) -> list[TriedServers]:
        return [TriedServers("database", None), TriedServers("topics", problem)]

    nothing = CheckedSettings([], [], settings)
    monkeypatch.setattr(check_config, "check", lambda *_given, **_named: nothing)
    monkeypatch.setattr(connect_check, "connect", answers)
    assert main(["check-config", "--connect"]) == (1 if problem else 0)
    out, err = capsys.readouterr()
    assert "database: well\n" in out
    assert ("pas: topics: away\n" in err) == bool(problem)
