"""The relay: claims, sends with no transaction open, marks; and what it does when the broker or the clock fails it."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

import orjson
import pytest
from typing_extensions import override

from app.broker import Broker, Message
from app.broker.messages import Publisher
from app.db import tasks
from app.db.database import Database
from app.domain.errors import Unavailable
from app.domain.jobs import TaskId, TaskState
from app.domain.readiness import BROKER, DATABASE, SCHEMA_REGISTRY, Readiness
from app.domain.tasks import NoData, Outcome, PutBack, Settlement
from app.messaging import relay as module
from app.messaging.owed import BackfillMetadataCommands, Commands, CreateArtifactCommands
from app.messaging.relay import LEASE, OWE_AGAIN_EVERY, Clocks, Relay, RelayOptions
from tests.support.metadata import archived, catalog, definitions, insert
from tests.support.rows import NOW, change_job, insert_job, publish, task_row, trace_of
from tests.support.spans import exporting, linked_to, parent_of, trace_of_span
from tests.unit.messaging.fakes import FakeBroker, until

SUBMITTED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Office:
    """A relay, its broker, and clocks that are moved by hand."""

    def __init__(self, database: Database, *, window: int = 100, commands: Commands | None = None) -> None:
        self.database = database
        self.broker = FakeBroker(self.refuse)
        self.outage: Unavailable | None = None
        self.seconds = 0.0
        self.readiness = Readiness((DATABASE, BROKER))
        self.relay = Relay(
            database,
            cast("Broker", self.broker),
            self.readiness,
            commands or CreateArtifactCommands("commands", Publisher("psf", "pas")),
            RelayOptions(window, redelivery_after=3600),
            Clocks(lambda: NOW + timedelta(seconds=self.seconds), lambda: self.seconds),
        )

    def refuse(self, _message: Message) -> None:
        if self.outage is not None:
            raise self.outage

    @property
    def sent(self) -> list[dict[str, Any]]:
        return [orjson.loads(message.value or b"") for message in self.broker.sent]

    @property
    def references(self) -> list[str]:
        return [command["references"]["archiveData"]["referenceId"] for command in self.sent]


class SlowEncoder:
    """Is away until it is told otherwise."""

    def __init__(self) -> None:
        self.away = True
        self.is_ready = False

    async def prepare(self) -> None:
        if self.away:
            raise Unavailable(SCHEMA_REGISTRY, "away")
        self.is_ready = True

    def encode(self, _message: Mapping[str, Any]) -> bytes:
        assert self.is_ready
        return b"encoded"


async def settle(database: Database, *answers: Settlement) -> None:
    await database.run(lambda c: tasks.settle(c, answers, NOW))


async def test_a_command_says_what_its_task_and_job_say_and_carries_a_trace(database: Database) -> None:
    job_id = await insert_job(database, 1)
    office = Office(database)
    assert await office.relay.publish_once() == 1
    [message], [command] = office.broker.sent, office.sent
    assert (message.topic, message.key) == ("commands", b"ref-0")
    assert command["payload"] == {"jobId": str(job_id), "messageName": "M", "topicName": "t"}
    assert command["publisher"] == {"system": "psf", "service": "pas"}
    [(name, _)] = message.headers
    assert name == "traceparent"


async def test_each_command_begins_the_trace_of_its_reference_with_a_link_to_the_submission(database: Database) -> None:
    job_id = await insert_job(database, 2)
    await change_job(database, job_id, traceparent=SUBMITTED)
    office = Office(database)
    with exporting() as exporter:
        for _ in range(2):  # the second time, as to a topic that has lost its records
            assert await office.relay.publish_once() == 2
            await office.relay.owe_again(None)
        spans = exporter.ended
    headers = [(dict(message.headers)["traceparent"] or b"").decode().split("-") for message in office.broker.sent]
    assert [trace for _, trace, _, _ in headers] == [trace_of(job_id, 0), trace_of(job_id, 1)] * 2
    assert len({span for _, _, span, _ in headers}) == 4
    assert [trace_of_span(span) for span in spans] == [trace for _, trace, _, _ in headers]
    assert {(span.name, parent_of(span), *linked_to(span)) for span in spans} == {
        ("publish CreateArtifactCommand", None, SUBMITTED)
    }


async def test_while_the_id_of_their_schema_is_not_known_no_commands_are_claimed(database: Database) -> None:
    job_id = await insert_job(database, 3)
    encoder = SlowEncoder()
    office = Office(database, commands=CreateArtifactCommands("commands", Publisher("psf", "pas"), encoder))
    stop = asyncio.Event()
    running = asyncio.create_task(office.relay.run(stop))
    await until(lambda: office.readiness.problems.get(SCHEMA_REGISTRY) == "away")
    row = await task_row(database, TaskId(job_id, 1))
    assert (row["published_at"], row["claimed_until"]) == (None, None)
    encoder.away = False
    await until(lambda: len(office.broker.sent) == 3)
    stop.set()
    await running
    assert SCHEMA_REGISTRY not in office.readiness.problems
    assert {message.value for message in office.broker.sent} == {b"encoded"}


async def test_a_relay_that_waited_for_a_schema_which_somebody_else_found_says_that_it_goes_on(
    database: Database,
) -> None:
    encoder = SlowEncoder()
    office = Office(database, commands=CreateArtifactCommands("commands", Publisher("psf", "pas"), encoder))
    with pytest.raises(Unavailable):
        await office.relay.publish_once()
    office.readiness.work_waits(SCHEMA_REGISTRY, "away")
    encoder.is_ready = True
    await office.relay.publish_once()
    assert SCHEMA_REGISTRY not in office.readiness.problems


async def test_what_was_sent_is_marked_and_not_sent_again(database: Database) -> None:
    job_id = await insert_job(database, 3)
    office = Office(database)
    assert await office.relay.publish_once() == 3
    assert await office.relay.publish_once() == 0
    row = await task_row(database, TaskId(job_id, 1))
    assert (row["published_at"], row["claimed_until"]) == (NOW, None)


async def test_no_transaction_is_open_while_the_broker_is_asked(database: Database) -> None:
    await insert_job(database, 2)
    office, checked = Office(database), []

    class Asks(FakeBroker):
        @override
        async def send(self, message: Message) -> None:
            await asyncio.wait_for(insert_job(database, 1), 5)  # SQLite has one writer at a time
            checked.append(message)

    office.relay._broker = cast("Broker", Asks())
    assert await office.relay.publish_once() == 2
    assert len(checked) == 2


async def test_a_send_that_fails_gives_its_claim_back_and_what_arrived_stays_sent(database: Database) -> None:
    job_id = await insert_job(database, 3)
    office = Office(database)
    sends = iter([None, Unavailable(BROKER, "no acknowledgement"), None])

    def refuse(_message: Message) -> None:
        if (outage := next(sends)) is not None:
            raise outage

    office.broker.refuse = refuse
    with pytest.raises(Unavailable):
        await office.relay.publish_once()
    rows = [await task_row(database, TaskId(job_id, n)) for n in range(3)]
    assert [row["published_at"] for row in rows] == [NOW, None, NOW]
    assert rows[1]["claimed_until"] is None
    office.broker.refuse = lambda _message: None
    assert await office.relay.publish_once() == 1
    assert sorted(office.references) == ["ref-0", "ref-1", "ref-2"]


async def test_an_answer_that_comes_before_the_mark_stays(database: Database) -> None:
    """The command is handled while the relay waits for the acknowledgements of its batch."""
    job_id = await insert_job(database, 2)
    office = Office(database)

    class Fast(FakeBroker):
        @override
        async def send(self, message: Message) -> None:
            await super().send(message)
            position = len(self.sent) - 1
            answers: list[Settlement] = [
                Outcome(TaskId(job_id, 0), TaskState.FAILED, "m", "t"),
                PutBack(TaskId(job_id, 1), NOW, 1),
            ]
            await settle(database, answers[position])

    office.relay._broker = cast("Broker", Fast())
    await office.relay.publish_once()
    assert (await task_row(database, TaskId(job_id, 0)))["state"] == "failed"
    assert (await task_row(database, TaskId(job_id, 1)))["published_at"] is None


async def test_a_window_bounds_what_is_out_and_answers_make_room(database: Database) -> None:
    job_id = await insert_job(database, 20)
    office = Office(database, window=4)
    assert await office.relay.publish_once() == 4
    assert await office.relay.publish_once() == 0
    await settle(database, NoData(TaskId(job_id, 0), "t"), Outcome(TaskId(job_id, 1), TaskState.FAILED, "m", "t"))
    assert await office.relay.publish_once() == 2
    assert office.references == [f"ref-{n}" for n in range(6)]


async def test_jobs_take_turns(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 10)
    large, small = await insert_job(database, 50), await insert_job(database, 3)
    office = Office(database)
    await office.relay.publish_once()
    jobs = [command["processId"] for command in office.sent]
    assert jobs.count(str(small)) == 3
    assert jobs.count(str(large)) == 5


async def test_paused_and_held_jobs_wait_and_others_go_on(database: Database) -> None:
    paused, held, due = [await insert_job(database, 1) for _ in range(3)]
    await change_job(database, paused, paused=True)
    await change_job(database, held, held_until=NOW + timedelta(seconds=30))
    office = Office(database)
    assert await office.relay.publish_once() == 1
    office.seconds = 31
    assert await office.relay.publish_once() == 1
    await change_job(database, paused, paused=False)
    assert await office.relay.publish_once() == 1
    assert [command["processId"] for command in office.sent] == [str(due), str(held), str(paused)]


async def test_a_command_that_nobody_answered_is_published_again_after_its_time(database: Database) -> None:
    job_id = await insert_job(database, 2)
    office = Office(database)
    await office.relay.publish_once()
    await settle(database, Outcome(TaskId(job_id, 0), TaskState.FAILED, "m", "t"))
    office.seconds = 3599
    await office.relay._owe_again()
    assert await office.relay.publish_once() == 0
    office.seconds = 3599 + OWE_AGAIN_EVERY + 1
    await office.relay._owe_again()
    assert await office.relay.publish_once() == 1
    assert office.references == ["ref-0", "ref-1", "ref-1"]


async def test_a_broker_without_memory_gets_everything_again_that_was_not_answered(database: Database) -> None:
    await insert_job(database, 2)
    await publish(database)
    office, stop = Office(database), asyncio.Event()
    running = asyncio.create_task(office.relay.run(stop, forgotten=True))
    await until(lambda: len(office.sent) == 2)
    stop.set()
    await running


async def test_the_relay_lives_through_outages_and_names_them(database: Database) -> None:
    await insert_job(database, 2)
    office, stop = Office(database), asyncio.Event()
    office.outage = Unavailable(BROKER, "connection refused")
    running = asyncio.create_task(office.relay.run(stop))
    await until(lambda: office.readiness.problems[BROKER] == "connection refused")
    office.outage = None
    office.relay.wake()
    await until(lambda: len(office.sent) == 2)
    await until(lambda: office.readiness.problems[BROKER] == "not seen yet")
    assert not running.done()
    stop.set()
    await running


async def test_an_outage_of_the_database_is_named_and_ends(database: Database) -> None:
    await insert_job(database, 1)
    office, stop = Office(database), asyncio.Event()
    run, outages = database.run, [Unavailable(DATABASE, "cannot be reached")] * 2

    async def failing(work: Any) -> Any:
        if outages:
            raise outages.pop()
        return await run(work)

    database.run = failing  # type: ignore[method-assign]
    running = asyncio.create_task(office.relay.run(stop))
    await until(lambda: office.readiness.problems[DATABASE] == "cannot be reached")
    office.relay.wake()
    await until(lambda: not outages)
    office.relay.wake()
    await until(lambda: office.sent)
    assert office.readiness.problems[DATABASE] == "not seen yet"
    stop.set()
    await running


async def test_the_relay_is_woken_once_answers_made_room_for_a_batch(database: Database) -> None:
    office = Office(database, window=100)
    office.relay.settled(9)
    assert not office.relay._woken.is_set()
    office.relay.settled(1)
    assert office.relay._woken.is_set()


async def test_a_bug_while_sending_gives_the_claim_back_before_it_ends_the_relay(database: Database) -> None:
    job_id = await insert_job(database, 1)
    office = Office(database)

    def refuse(_message: Message) -> None:
        raise ZeroDivisionError

    office.broker.refuse = refuse
    with pytest.raises(ZeroDivisionError):
        await office.relay.publish_once()
    assert (await task_row(database, TaskId(job_id, 0)))["claimed_until"] is None


async def test_batches_of_metadata_runs_are_published_the_same_way(database: Database) -> None:
    await insert(database, *(archived(f"r{n}") for n in range(25)))
    await definitions(database).apply(catalog(a="x.a"))
    office = Office(database, commands=BackfillMetadataCommands("commands", Publisher("psf", "pas")))
    assert await office.relay.publish_once() == 3
    assert sorted(command["payload"]["batch"] for command in office.sent) == [0, 1, 2]
    assert {message.key for message in office.broker.sent} == {
        f"{command['payload']['runId']}-{command['payload']['batch']}".encode() for command in office.sent
    }
    assert await office.relay.publish_once() == 0


async def test_a_claim_outlives_nobody_by_more_than_its_lease(database: Database) -> None:
    await insert_job(database, 1)
    first = Office(database)
    await first.database.run(lambda c: first.relay._claim(c, NOW, NOW + LEASE))
    second = Office(database)
    second.seconds = LEASE.total_seconds()
    assert await second.relay.publish_once() == 0
    second.seconds += 1
    assert await second.relay.publish_once() == 1
