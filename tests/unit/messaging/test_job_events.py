"""What happens to jobs is told as events: in order, at least once, and never without the change."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID, uuid4

import orjson
import pytest

from app.broker import Broker, Message
from app.broker.codec import decode
from app.broker.encoding import AvroEncoder
from app.broker.messages import Publisher
from app.db import job_events
from app.db.job_history import JobHistory
from app.domain.errors import PermanentFailure, Unavailable
from app.domain.jobs import BY_FAILURES, FailureThreshold
from app.domain.readiness import BROKER, Readiness
from app.jobs.control import ImpossibleForJob, JobControl
from app.jobs.retry import Retries
from app.messaging.job_events import JobEventRelay
from tests.support.contracts import assert_fits
from tests.support.core import DORA, HISTORY, Core, opened_core
from tests.support.schema_registry import client_of, refused, schema_registry
from tests.unit.messaging.fakes import FakeBroker, until


class Office:
    """The relay of events and its broker; messages of the jobs in `refused` are refused."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.broker = FakeBroker(self.refuse)
        self.refused: set[UUID] = set()
        self.readiness = Readiness((BROKER,))
        self.relay = JobEventRelay(
            core.database, cast("Broker", self.broker), self.readiness, "job-events", Publisher("psf", "pas")
        )

    def refuse(self, message: Message) -> None:
        if UUID((message.key or b"").decode()) in self.refused:
            raise Unavailable(BROKER, "it is away")

    @property
    def events(self) -> list[dict[str, Any]]:
        return [orjson.loads(message.value or b"") for message in self.broker.sent]

    def told(self, job_id: UUID) -> list[tuple[str, str | None]]:
        """What was told of a job, and who did it."""
        payloads = [event["payload"] for event in self.events if event["processId"] == str(job_id)]
        return [(payload["change"], payload["by"]) for payload in payloads]


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Core]:
    async with opened_core(tmp_path) as opened:
        yield opened


@pytest.fixture
def office(core: Core) -> Office:
    return Office(core)


def control(core: Core) -> JobControl:
    return JobControl(core.database, HISTORY, core.on_due)


async def test_all_that_happens_to_a_job_is_told_in_order(core: Core, office: Office) -> None:
    job_id = await core.submit("a", "b")
    await control(core).pause(job_id, "Erik")
    await control(core).resume(job_id, "Dora")
    await control(core).cancel(job_id, "Erik")
    assert await office.relay.publish_once() == 5
    assert office.told(job_id) == [
        ("submitted", "Dora"),
        ("paused", "Erik"),
        ("resumed", "Dora"),
        ("cancelled", "Erik"),
        ("completed", None),
    ]
    for event, message in zip(office.events, office.broker.sent, strict=True):
        assert_fits("BackfillJobStateChangedEvent", event)
        assert (message.topic, message.key) == ("job-events", str(job_id).encode())
        assert (dict(message.headers)["traceparent"] or b"").startswith(b"00-0af7651916cd43dd8448eb211c80319c-")
    assert len({event["identity"]["idempotenceId"] for event in office.events}) == 5
    assert await office.relay.publish_once() == 0


async def test_no_event_has_the_id_of_one_that_was_sent_before(core: Core, office: Office) -> None:
    job_id = await core.submit("a")
    for step in ("pause", "resume", "pause", "cancel"):
        await office.relay.publish_once()
        await getattr(control(core), step)(job_id, "Erik")
    await office.relay.publish_once()
    ids = [event["identity"]["idempotenceId"] for event in office.events]
    assert (len(ids), len(set(ids))) == (6, 6)
    numbers = [int(each.rpartition("-")[2]) for each in ids]
    assert numbers == sorted(numbers)


async def test_events_wait_until_the_id_of_their_schema_is_known_and_say_the_same_in_avro(
    core: Core, office: Office
) -> None:
    job_id = await core.submit("a")
    publisher = Publisher("psf", "pas")
    async with schema_registry() as fake:
        schemas = client_of(fake)
        fake.misbehave = lambda _request: refused(50002)
        encoder = AvroEncoder(schemas, "job-events", "BackfillJobStateChangedEvent")
        broker = cast("Broker", office.broker)
        relay = JobEventRelay(core.database, broker, office.readiness, "job-events", publisher, encoder)
        with pytest.raises(Unavailable, match="HTTP 500"):
            await relay.publish_once()
        assert office.broker.sent == []
        fake.misbehave = lambda _request: None
        assert await relay.publish_once() == 1
        await schemas.find(1)
        (message,) = office.broker.sent
        event = decode(message.value, schemas)
    assert message.key == str(job_id).encode()
    assert event["payload"]["change"] == "submitted"
    assert_fits("BackfillJobStateChangedEvent", event)


async def test_an_event_tells_how_the_job_stood_then(core: Core, office: Office) -> None:
    job_id = await core.submit("good", "bad")
    core.source.answers("bad", PermanentFailure("no"))
    await core.archive(job_id)
    await office.relay.publish_once()
    first, last = (event["payload"] for event in office.events)
    assert (first["state"], first["result"]) == ("open", None)
    assert first["counts"] == {"total": 2, "open": 2, "succeeded": 0, "failed": 0}
    assert (last["change"], last["state"], last["result"]) == ("completed", "completed", "partially-succeeded")
    assert last["counts"] == {"total": 2, "open": 0, "succeeded": 1, "failed": 1}
    assert last["messageName"] == "DocCreated"


async def test_a_job_that_pauses_itself_says_so(core: Core, office: Office) -> None:
    job_id = await core.submit("a", "b", "c")
    for reference in "abc":
        core.source.answers(reference, PermanentFailure("no"))
    process = core.process(threshold=FailureThreshold(0.5, 1))
    works = await process.take(job_id)
    await process.run(works[0])
    await office.relay.publish_once()
    assert office.told(job_id) == [("submitted", "Dora"), ("paused", BY_FAILURES)]


async def test_a_retry_is_told_as_the_new_job_and_a_redrive_is_not_told(core: Core, office: Office) -> None:
    job_id, new = await core.submit("bad", "open"), uuid4()
    core.source.answers("bad", PermanentFailure("no"))
    process = core.process()
    await process.run((await process.take(job_id))[0])
    await Retries(core.database, HISTORY, core.catalog, core.on_due).retry(job_id, new, DORA)
    await control(core).redrive(job_id, "Dora")
    await office.relay.publish_once()
    assert office.told(job_id) == [("submitted", "Dora")]
    assert office.told(new) == [("submitted", "Dora")]
    (event,) = (event for event in office.events if event["processId"] == str(new))
    assert event["payload"]["counts"]["total"] == 1


async def test_what_was_refused_leaves_nothing_to_tell(core: Core, office: Office) -> None:
    job_id = await core.submit("a")
    with pytest.raises(ImpossibleForJob):
        await control(core).resume(job_id, "Dora")
    await office.relay.publish_once()
    assert office.told(job_id) == [("submitted", "Dora")]


async def test_an_event_that_cannot_be_sent_is_sent_later_with_its_id_and_others_are_not_held_up(
    core: Core, office: Office
) -> None:
    stuck, other = await core.submit("a"), await core.submit("b")
    await control(core).pause(stuck, "Erik")
    office.refused = {stuck}
    with pytest.raises(Unavailable, match="it is away"):
        await office.relay.publish_once()
    assert (office.told(stuck), office.told(other)) == ([], [("submitted", "Dora")])
    office.refused = set()
    await office.relay.publish_once()
    assert office.told(stuck) == [("submitted", "Dora"), ("paused", "Erik")]


async def test_events_that_cannot_be_sent_are_told_as_a_problem_of_their_topic_for_which_no_job_waits(
    core: Core, office: Office
) -> None:
    job_id, stop = await core.submit("a"), asyncio.Event()
    office.refused = {job_id}
    running = asyncio.create_task(office.relay.run(stop))
    await until(lambda: office.readiness.outage("topic job-events"))
    assert office.readiness.problems["topic job-events"] == "it is away"
    assert office.readiness.outage(BROKER) is None
    office.refused = set()
    await until(lambda: not office.readiness.outage("topic job-events"))
    stop.set()
    await running
    assert office.told(job_id) == [("submitted", "Dora")]


async def test_two_processes_do_not_send_at_once_and_one_that_died_is_made_up_for(core: Core, office: Office) -> None:
    await core.submit("a")
    now = datetime.now(UTC)
    claimed = await core.database.run(lambda c: job_events.claim(c, now, now + timedelta(seconds=30), 10))
    assert len(claimed) == 1
    assert await office.relay.publish_once() == 0
    later = now + timedelta(seconds=31)
    again = await core.database.run(lambda c: job_events.claim(c, later, later + timedelta(seconds=30), 10))
    assert again == claimed


async def test_nothing_is_owed_where_no_topic_is_set(core: Core, office: Office) -> None:
    silent = JobControl(core.database, JobHistory(publishes=False), core.on_due)
    job_id = await core.submit("a")
    await office.relay.publish_once()
    await silent.pause(job_id, "Erik")
    assert await office.relay.publish_once() == 0
    assert [(each.what, each.by) for each in (await silent.view(job_id)).actions] == [("paused", "Erik")]
