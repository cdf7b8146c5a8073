"""What jobs wait for: one process learns it and says it, another one may be the first that gets through."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import generate_latest

from app.catalog.archive_types import Catalog
from app.db import waiting as rows
from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.errors import NoArchiveData, PermanentFailure, TransientFailure, Unavailable
from app.domain.readiness import BROKER, OBJECT_STORE, SCHEMA_REGISTRY, Readiness
from app.domain.waiting import Waiting, WaitingFor
from app.jobs import known_outages as outages_module
from app.jobs import waiting as module
from app.jobs.control import JobControl
from app.jobs.known_outages import KnownOutages
from app.jobs.waiting import WaitingJobs
from app.sources import congestion
from app.sources.congestion import IN_A_ROW
from app.sources.outages import Outages
from app.sources.pacing import SourcePacers
from app.sources.patience import way_of
from app.telemetry import metrics
from tests.support.core import HISTORY, MESSAGE, Core, configuration
from tests.support.rows import change_job, publish

REFUSED = TransientFailure("connection refused", unreachable=True, no_connection=True)
OTHER = configuration(message_type="TaxAssessed", uri="https://other/tax/{id}", oauth_client_id="tax-client", id="two")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(congestion, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(outages_module, "SETTLED", 0.0)
    monkeypatch.setattr(module, "RENEW", 0.0)


class Node:
    """One process: what it has asked, and what it has found out."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.readiness = Readiness((BROKER, OBJECT_STORE))
        self.outages = Outages()
        self.pacers = SourcePacers(64)
        self.holds_tasks = True
        self.known_outages = KnownOutages(
            self.readiness, core.catalog, self.pacers, self.outages, lambda: self.holds_tasks
        )
        self.waiting = WaitingJobs(core.database, self.readiness, self.known_outages)

    async def ask(
        self, end: Exception | None = None, times: int = 1, of: ArchiveTypeConfiguration | None = None
    ) -> None:
        of = of or configuration()
        for _ in range(times):
            with suppress(TransientFailure, PermanentFailure, NoArchiveData), self.outages.noting(of):
                async with self.pacers.of(way_of(of)[0]).attempt():
                    if end is not None:
                        raise end

    async def look(self) -> None:
        await self.waiting.update()

    def gone(self, component: str = OBJECT_STORE, reason: str = "HTTP 503 SlowDown") -> None:
        self.readiness.work_waits(component, reason)

    def back(self, component: str = OBJECT_STORE) -> None:
        self.readiness.work_goes_on(component)


@pytest.fixture
def one(core: Core) -> Node:
    return Node(core)


@pytest.fixture
def two(core: Core) -> Node:
    return Node(core)


async def of(core: Core, job_id: UUID) -> Waiting | None:
    return (await JobControl(core.database, HISTORY, core.on_due).view(job_id)).job.waiting


async def reason(core: Core, job_id: UUID) -> str | None:
    found = await of(core, job_id)
    return None if found is None else found.reason


async def test_a_job_of_one_reference_waits_for_its_source_until_it_answers(
    core: Core, one: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(congestion, "FIRST_PAUSE", 0.5)
    job_id = await core.submit("a")
    await one.look()
    assert await of(core, job_id) is None
    await one.ask(REFUSED, IN_A_ROW)
    await one.look()
    found = await of(core, job_id)
    assert found is not None
    assert (found.for_, found.name, found.reason) == (WaitingFor.SOURCE, MESSAGE, "connection refused")
    assert found.next_try is not None
    assert timedelta(0) < found.next_try - found.since < timedelta(seconds=30)
    await one.ask()
    await one.look()
    assert await of(core, job_id) is None


@pytest.mark.parametrize("answer", [PermanentFailure("HTTP 404"), NoArchiveData()])
async def test_whatever_the_source_answers_nobody_waits_for_it(core: Core, one: Node, answer: Exception) -> None:
    job_id = await core.submit("a")
    await one.ask(REFUSED, IN_A_ROW)
    await one.look()
    await one.ask(answer)
    await one.look()
    assert await of(core, job_id) is None


async def test_jobs_of_other_sources_go_on(core: Core, one: Node) -> None:
    core.catalog.now = Catalog((configuration(), OTHER))
    here = await core.submit("a")
    there = await core.submit("b", message="TaxAssessed")
    await one.ask(REFUSED, IN_A_ROW, OTHER)
    await one.look()
    found = await of(core, there)
    assert found is not None
    assert (found.name, found.reason) == ("TaxAssessed", "connection refused (OAuth client tax-client)")
    assert await of(core, here) is None


async def test_a_source_is_named_with_the_id_of_its_configuration_where_its_message_has_several(
    core: Core, one: Node
) -> None:
    core.catalog.now = Catalog((replace(OTHER, id="one", uri="https://else/{id}"), OTHER))
    job_id = await core.submit("b", message="TaxAssessed", config_id="two")
    await one.ask(REFUSED, IN_A_ROW, OTHER)
    await one.look()
    found = await of(core, job_id)
    assert found is not None
    assert found.name == "TaxAssessed/two"
    assert one.readiness.sources_away.keys() == {"TaxAssessed/two"}


async def test_the_first_process_that_gets_through_clears_what_another_one_wrote(
    core: Core, one: Node, two: Node
) -> None:
    job_id = await core.submit("a")
    await two.look()
    await one.ask(REFUSED, IN_A_ROW)
    await one.look()
    await two.look()
    assert await reason(core, job_id) == "connection refused"
    await two.ask()
    await two.look()
    assert await of(core, job_id) is None


async def test_one_that_has_learnt_nothing_new_does_not_write_against_one_that_gets_through(
    core: Core, one: Node, two: Node
) -> None:
    job_id = await core.submit("a")
    await two.look()
    await one.ask(REFUSED, IN_A_ROW)
    await one.look()
    since = (await of(core, job_id) or pytest.fail("waits")).since
    await two.look()
    await two.ask()
    await two.look()
    await one.look()
    assert await of(core, job_id) is None
    await one.ask(REFUSED)
    await one.look()
    assert (await of(core, job_id) or pytest.fail("waits")).since == since


async def test_an_answer_from_before_the_outage_was_written_clears_nothing(core: Core, one: Node, two: Node) -> None:
    job_id = await core.submit("a")
    await two.look()
    await two.ask()
    await one.ask(REFUSED, IN_A_ROW)
    await one.look()
    await two.look()
    await two.look()
    assert await reason(core, job_id) == "connection refused"


async def test_after_a_restart_a_job_waits_until_something_gets_through(core: Core, one: Node) -> None:
    job_id = await core.submit("a", "b")
    await one.ask(REFUSED, IN_A_ROW)
    await one.look()
    since = (await of(core, job_id) or pytest.fail("waits")).since
    after = Node(core)
    await after.look()
    assert await reason(core, job_id) == "connection refused"
    await after.ask(TransientFailure("connect timed out after 5s", unreachable=True, no_connection=True), IN_A_ROW)
    await after.look()
    found = await of(core, job_id)
    assert found is not None
    assert (found.reason, found.since) == ("connect timed out after 5s", since)
    last = Node(core)
    await last.ask()  # before it looks for the first time
    await last.look()
    assert await of(core, job_id) is None


async def test_reason_and_next_try_are_renewed_at_most_every_few_seconds(
    core: Core, one: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RENEW", 3600.0)
    job_id = await core.submit("a")
    await one.ask(REFUSED, IN_A_ROW)
    await one.look()
    await one.ask(TransientFailure("read timed out after 5s", unreachable=True))
    await one.look()
    assert await reason(core, job_id) == "connection refused"
    monkeypatch.setattr(module, "RENEW", 0.0)
    await one.ask(TransientFailure("read timed out after 5s", unreachable=True))
    await one.look()
    assert await reason(core, job_id) == "read timed out after 5s"


async def test_a_look_that_finds_nothing_new_writes_nothing(
    core: Core, one: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await core.submit(str(number))
    written: list[int] = []

    async def begin(_connection: Any, job_ids: Any, _news: Waiting) -> None:
        written.append(len(job_ids))

    monkeypatch.setattr(rows, "begin", begin)
    await one.ask(REFUSED, IN_A_ROW)
    for _ in range(3):
        await one.look()
    assert written == [3]  # in one statement


async def test_a_job_that_is_submitted_during_an_outage_waits_too(core: Core, one: Node) -> None:
    await core.submit("a")
    await one.ask(REFUSED, IN_A_ROW)
    await one.look()
    later = await core.submit("b")
    await one.look()
    assert await reason(core, later) == "connection refused"


async def test_a_paused_job_waits_for_nothing_and_a_resumed_one_says_it_again(core: Core, one: Node) -> None:
    job_id = await core.submit("a")
    control = JobControl(core.database, HISTORY, core.on_due)
    await one.ask(REFUSED, IN_A_ROW)
    await one.look()
    assert (await control.pause(job_id, "Dora")).job.waiting is None
    await one.look()
    assert (await control.resume(job_id, "Dora")).job.waiting is None
    await one.look()
    assert await reason(core, job_id) == "connection refused"


async def test_a_job_that_an_older_release_ended_waits_for_nothing(core: Core, one: Node) -> None:
    job_id = await core.submit("a")
    await one.ask(REFUSED, IN_A_ROW)
    await one.look()
    await change_job(core.database, job_id, paused=True)
    assert await of(core, job_id) is None
    await change_job(core.database, job_id, paused=False, state="completed")
    assert await of(core, job_id) is None


async def test_a_job_without_work_does_not_wait(core: Core, one: Node) -> None:
    job_id = await core.submit("a", "b")
    core.source.answers("a", NoArchiveData())
    core.source.answers("b", PermanentFailure("HTTP 500 (4 attempts)"))
    await publish(core.database)
    await one.ask(TransientFailure("HTTP 500", unreachable=True), IN_A_ROW)
    await one.look()
    assert await reason(core, job_id) == "HTTP 500"
    await core.archive(job_id)
    await one.look()
    assert await of(core, job_id) is None
    await one.ask(REFUSED)
    await one.look()
    assert await of(core, job_id) is None


@pytest.mark.parametrize(("component", "for_"), [(OBJECT_STORE, WaitingFor.OBJECT_STORE), (BROKER, WaitingFor.BROKER)])
async def test_all_jobs_wait_for_a_component_until_work_gets_through(
    core: Core, one: Node, two: Node, component: str, for_: WaitingFor
) -> None:
    ids = [await core.submit("a"), await core.submit("b")]
    await two.look()
    one.gone(component)
    await one.look()
    found = [await of(core, job_id) for job_id in ids]
    assert {(each.for_, each.name, each.reason, each.next_try) for each in found if each} == {
        (for_, component, "HTTP 503 SlowDown", None)
    }
    await two.look()
    assert await of(core, ids[0]) is not None
    two.back(component)  # it has seen no outage
    await two.look()
    assert [await of(core, job_id) for job_id in ids] == [None, None]


async def test_jobs_wait_for_the_schema_registry_only_where_their_messages_cannot_be_encoded(
    core: Core, one: Node, two: Node
) -> None:
    job_id = await core.submit("a")
    two.holds_tasks = False
    two.readiness.probe_failed(SCHEMA_REGISTRY, "connection refused")
    await two.look()
    assert await of(core, job_id) is None, "what this process needs is known to it"
    one.readiness.probe_failed(SCHEMA_REGISTRY, "subject a-b does not have our schema")
    await one.look()
    found = await of(core, job_id)
    assert found is not None
    assert (found.for_, found.name, found.reason) == (
        WaitingFor.SCHEMA_REGISTRY,
        SCHEMA_REGISTRY,
        "subject a-b does not have our schema",
    )
    one.holds_tasks = False
    await one.look()
    assert await of(core, job_id) is None


async def test_a_process_that_needs_no_registry_clears_what_was_written_before_its_start(
    core: Core, one: Node, two: Node
) -> None:
    job_id = await core.submit("a")
    one.gone(SCHEMA_REGISTRY)
    await one.look()
    assert await of(core, job_id) is not None
    two.holds_tasks = False
    await two.look()
    assert await of(core, job_id) is None


async def test_a_component_that_a_probe_misses_is_waited_for_until_the_probe_finds_it(core: Core, one: Node) -> None:
    job_id = await core.submit("a")
    await one.look()
    assert await of(core, job_id) is None  # not looked at yet
    one.readiness.probe_failed(BROKER, "missing topic: commands")
    await one.look()
    assert await reason(core, job_id) == "missing topic: commands"
    one.readiness.probe_succeeded(BROKER)
    await one.look()
    assert await of(core, job_id) is None


async def test_a_component_that_refuses_some_and_does_the_rest_is_not_waited_for(
    core: Core, one: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages_module, "SETTLED", 0.05)
    job_id = await core.submit("a")
    for _ in range(5):
        one.back()
        one.gone()
        await one.look()
    assert await of(core, job_id) is None


async def test_of_several_outages_the_one_that_comes_first_on_the_way_is_told(core: Core, one: Node) -> None:
    job_id = await core.submit("a")
    told = []
    steps: list[Callable[[], None]] = [
        one.gone,
        lambda: None,
        lambda: one.gone(BROKER, "no broker"),
        lambda: one.back(BROKER),
    ]
    for number, step in enumerate(steps):
        if number in (1, 3):
            await one.ask(REFUSED, IN_A_ROW)
        step()
        await one.look()
        told.append(await reason(core, job_id))
    assert told == ["HTTP 503 SlowDown", "connection refused", "no broker", "connection refused"]


async def test_health_metrics_and_log_say_the_same(core: Core, one: Node, caplog: pytest.LogCaptureFixture) -> None:
    core.catalog.now = Catalog((configuration(), OTHER))
    await core.submit("b", message="TaxAssessed")
    away = 'pas_source_unavailable{archive_type="TaxAssessed",client="tax-client"}'
    waits = 'pas_jobs_waiting{for="source"}'
    await one.ask(REFUSED, IN_A_ROW, OTHER)
    await one.look()
    page = generate_latest(metrics.REGISTRY).decode()
    assert f"{away} 1.0" in page
    assert f"{waits} 1.0" in page
    assert one.readiness.problems["source TaxAssessed"] == "connection refused (OAuth client tax-client)"
    await one.ask(of=OTHER)
    await one.look()
    page = generate_latest(metrics.REGISTRY).decode()
    assert f"{away} 0.0" in page
    assert f"{waits} 0.0" in page
    assert "source TaxAssessed" not in one.readiness.problems
    assert next(record.levelname for record in caplog.records if "the source of" in record.getMessage()) == "WARNING"


async def test_an_archive_type_that_is_configured_no_more_is_waited_for_by_nobody(core: Core, one: Node) -> None:
    job_id = await core.submit("a")
    await one.ask(REFUSED, IN_A_ROW)
    core.catalog.now = Catalog((OTHER,))
    await one.look()
    assert await of(core, job_id) is None


@pytest.mark.parametrize(
    "changed", [replace(OTHER, uri="https://new.example/{id}"), replace(OTHER, oauth_client_id="new-client")]
)
async def test_a_source_that_no_archive_type_has_any_more_is_not_named(
    core: Core, one: Node, changed: ArchiveTypeConfiguration
) -> None:
    core.catalog.now = Catalog((configuration(), OTHER))
    await one.ask(REFUSED, IN_A_ROW)
    await one.ask(REFUSED, IN_A_ROW, OTHER)
    await one.look()
    assert one.readiness.sources_away.keys() == {MESSAGE, "TaxAssessed"}
    core.catalog.now = Catalog((configuration(), changed))
    await one.look()
    assert one.readiness.sources_away.keys() == {MESSAGE}
    core.catalog.now = Catalog((changed,))
    await one.look()
    assert one.readiness.sources_away == {}
    page = generate_latest(metrics.REGISTRY).decode()
    assert 'pas_source_unavailable{archive_type="TaxAssessed",client="tax-client"} 0.0' in page
    assert not one.known_outages.any


async def test_a_source_that_is_away_is_named_by_the_archive_types_that_have_it_now(core: Core, one: Node) -> None:
    second = configuration(message_type="Second")
    core.catalog.now = Catalog((configuration(), second))
    await one.ask(REFUSED, IN_A_ROW)
    await one.ask(REFUSED, 1, second)
    core.catalog.now = Catalog((second, configuration(uri="https://new.example/{id}")))
    await one.look()
    assert one.readiness.sources_away.keys() == {"Second"}
    core.catalog.now = Catalog((configuration(message_type="Renamed"),))
    await one.look()
    assert one.readiness.sources_away.keys() == {"Renamed"}


async def test_a_database_that_is_away_only_delays_it(core: Core, one: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []

    class Enough(BaseException): ...

    async def look() -> None:
        looks.append("look")
        if len(looks) == 3:
            raise Enough
        raise Unavailable("database", "gone")

    monkeypatch.setattr(module, "LOOK", 0.0)
    monkeypatch.setattr(one.waiting, "update", look)
    with pytest.raises(Enough):
        await one.waiting.run()
    assert len(looks) == 3
