"""Each component is told by its own state, also while another one is away."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.broker.encoding import Encoding
from app.domain.errors import Unavailable
from app.domain.readiness import BROKER, DATABASE, OBJECT_STORE, SCHEMA_REGISTRY, Readiness
from app.process.probes import Probes, probe_of_schemas
from app.process.watch import Probe
from tests.support.schema_registry import client_of, refused, schema_registry


class Away:
    """In the place of database and object store."""

    def __init__(self, store_is_away: bool) -> None:
        self.store_is_away = store_is_away

    async def run(self, _work: Any) -> None:
        raise Unavailable(DATABASE, "password authentication failed")

    async def check(self, _buckets: Any) -> None:
        if self.store_is_away:
            raise Unavailable(OBJECT_STORE, "connection refused")


def look_at_buckets(away: Any) -> Probe:
    nothing: Any = SimpleNamespace()
    return Probes([], ["archive"], away, nothing, away, nothing, nothing, Readiness(()), nothing).look_at_buckets


async def test_schemas_are_prepared_once_and_the_registry_is_looked_at_each_time() -> None:
    async with schema_registry() as fake:
        client = client_of(fake)
        encoding = Encoding(client)
        encoder = encoding.of("t", "ProcessIdMessageKey")
        look = probe_of_schemas(client, encoding)
        for _ in range(3):
            await look()
        assert encoder.is_ready
        assert fake.requests.count("GET /schemas/types") == 3
        assert len(fake.requests) == 6
        fake.misbehave = lambda _request: refused(50301)
        with pytest.raises(Unavailable) as caught:
            await look()
    assert caught.value.component == SCHEMA_REGISTRY


def test_only_where_there_is_a_registry_it_is_looked_at() -> None:
    nothing: Any = SimpleNamespace()

    async def look() -> None: ...

    def components(schemas: Probe | None) -> set[str]:
        registry = Readiness(())
        probes = Probes([], [], nothing, nothing, nothing, nothing, nothing, registry, nothing, schemas)
        return set(probes.by_component())

    assert components(look) - components(None) == {SCHEMA_REGISTRY}


class Topics:
    """A broker that lacks some topics."""

    def __init__(self, *missing: str) -> None:
        self.missing = missing

    async def missing_topics(self, topics: Sequence[str]) -> list[str]:
        return [topic for topic in topics if topic in self.missing]


async def test_a_topic_that_no_job_waits_for_is_named_alone_once_the_broker_was_seen() -> None:
    nothing: Any = SimpleNamespace()
    broker: Any = Topics("job-events")
    readiness = Readiness((BROKER,))
    probes = Probes(
        ["commands", "job-events"], [], nothing, broker, nothing, nothing, nothing, readiness, nothing,
        spared=("job-events",),
    )  # fmt: skip
    with pytest.raises(Unavailable, match="missing topic: job-events; create it"):
        await probes.look_at_topics()
    readiness.probe_succeeded(BROKER)
    for _ in range(2):
        await probes.look_at_topics()
        assert readiness.problems == {"topic job-events": "it is missing; create it, or set create-topics"}
    broker.missing = ("job-events", "commands")
    with pytest.raises(Unavailable, match="missing topic: commands; create it"):
        await probes.look_at_topics()


@pytest.mark.parametrize(("store_is_away", "told"), [(True, OBJECT_STORE), (False, DATABASE)])
async def test_the_object_store_is_looked_at_without_the_database(store_is_away: bool, told: str) -> None:
    with pytest.raises(Unavailable) as caught:
        await look_at_buckets(Away(store_is_away))()
    assert caught.value.component == told


async def test_missing_live_topics_are_named_and_hold_up_nothing_also_at_the_start() -> None:
    nothing: Any = SimpleNamespace()
    broker: Any = Topics("docs")
    readiness = Readiness((BROKER,))
    live = {"docs", "others"}
    probes = Probes(
        ["commands"], [], nothing, broker, nothing, nothing, nothing, readiness, nothing, live_topics=lambda: live
    )
    await probes.look_at_topics()
    assert readiness.problems["topic docs"] == "it is missing; live archiving waits for it"
    assert "topic others" not in readiness.problems
    broker.missing = ()
    await probes.look_at_topics()
    assert "topic docs" not in readiness.problems
    broker.missing = ("docs",)
    await probes.look_at_topics()
    live.remove("docs")
    await probes.look_at_topics()
    assert "topic docs" not in readiness.problems, "nobody waits for it any more"


async def test_what_a_sender_says_of_a_live_topic_that_is_there_stays() -> None:
    nothing: Any = SimpleNamespace()
    readiness = Readiness((BROKER,))
    readiness.work_waits("topic dead", "it takes no message of this size")
    broker, live = cast("Any", Topics()), {"dead"}
    probes = Probes([], [], nothing, broker, nothing, nothing, nothing, readiness, nothing, live_topics=lambda: live)
    await probes.look_at_topics()
    assert readiness.problems["topic dead"] == "it takes no message of this size"
