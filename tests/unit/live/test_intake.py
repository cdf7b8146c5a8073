"""Messages taken in: a task for each configuration that wants one, and what becomes of all others."""

from typing import Any, cast

import pytest
from sqlalchemy import select, update

from app.catalog.archive_types import Catalog
from app.catalog.live import LiveCatalog
from app.catalog.registry import Registry
from app.db.database import Database
from app.db.tables import job, live_task, task
from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.errors import Unavailable
from app.domain.readiness import DATABASE, Readiness
from app.live.intake import Intake, LiveMessage, MessageOutcome, MessageVerdict, live_topics
from tests.unit.live.live_types import MESSAGE, configuration
from tests.unit.messaging.conftest import database

__all__ = ["database"]

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ON_SIGHT = "condition: [{path: payload.kind, equals: final}]"


class World:
    def __init__(self, database: Database, *configurations: ArchiveTypeConfiguration) -> None:
        self.database = database
        self.catalog = LiveCatalog(Catalog(configurations))
        self.readiness = Readiness((DATABASE,))
        self.due = 0
        self.intake = Intake(database, self.readiness, self.catalog, Registry({}), self.on_new, 0.4)

    def on_new(self) -> None:
        self.due += 1

    async def take(self, *messages: dict[str, Any], topic: str = "t", trace: str | None = None) -> list[MessageVerdict]:
        return await self.intake.take([LiveMessage(topic, message, trace) for message in messages])

    async def rows(self, *columns: Any) -> list[Any]:
        joined = select(*columns).select_from(task).join(job).join(live_task, live_task.c.key == task.c.reference_key)
        async with self.database.reading() as connection:
            return [tuple(row) for row in await connection.execute(joined.order_by(job.c.message, task.c.position))]


def message(idempotence_id: str = "i-1", **changes: Any) -> dict[str, Any]:
    return {**MESSAGE, "identity": {"idempotenceId": idempotence_id}, **changes}


async def test_a_message_becomes_a_task_with_what_it_says(database: Database) -> None:
    world = World(database, configuration("reference: {id: references.decree.id, version: references.decree.version}"))
    assert await world.take(message(), trace=TRACE) == [MessageVerdict(MessageOutcome.TAKEN)]
    assert world.due == 1
    columns = (task.c.reference_id, task.c.reference_version, live_task.c.process_id, live_task.c.traceparent)
    assert await world.rows(*columns, task.c.trace_id) == [("D-1", 3, "P-1", TRACE, TRACE[3:35])]
    (stored,) = await world.rows(
        live_task.c.system, live_task.c.schema_name, live_task.c.schema_version, live_task.c.size
    )
    assert stored[:3] == ("S", "T", 2)


async def test_a_message_that_comes_again_is_known_and_nothing_is_due(database: Database) -> None:
    """Of two in one poll, the first counts."""
    world = World(database, configuration())
    taken, known = MessageVerdict(MessageOutcome.TAKEN), MessageVerdict(MessageOutcome.KNOWN)
    assert await world.take(message(), message(processId="P-2")) == [taken, known]
    assert await world.take(message()) == [known]
    assert world.due == 1
    assert await world.rows(task.c.position, live_task.c.process_id) == [(0, "P-1")]


async def test_each_configuration_that_wants_a_message_gets_a_task_of_it(database: Database) -> None:
    one, other = configuration("id: one", ON_SIGHT), configuration("id: other", "reference: {id: processId}")
    never = configuration("id: never", "condition: [{path: payload.kind, equals: draft}]")
    world = World(database, one, other, never)
    assert await world.take(message()) == [MessageVerdict(MessageOutcome.TAKEN)]
    found = await world.rows(job.c.resolved_config_id, task.c.reference_id)
    assert sorted(found) == [("one", "D-1"), ("other", "P-1")]


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (message(type={"name": "Other"}), MessageOutcome.OTHER_TYPE),
        (message(type={"name": ""}), MessageOutcome.NO_TYPE),
        (message(type={"version": "1"}), MessageOutcome.NO_TYPE),
        (message(type="M"), MessageOutcome.NO_TYPE),
        ({"id": 7}, MessageOutcome.NO_TYPE),
        (message(payload={"kind": "draft"}), MessageOutcome.CONDITION),
    ],
)
async def test_what_is_passed_over(database: Database, made: dict[str, Any], kind: MessageOutcome) -> None:
    world = World(database, configuration(ON_SIGHT))
    assert await world.take(made) == [MessageVerdict(kind)]
    assert world.due == 0


async def test_a_message_of_the_type_on_another_topic_is_passed_over(database: Database) -> None:
    assert await World(database, configuration()).take(message(), topic="u") == [
        MessageVerdict(MessageOutcome.OTHER_TYPE)
    ]


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (message(references={}), "M: reference.id: "),
        (message(identity={}), "M: identity.idempotenceId is missing"),
        (message(identity="i-1"), "M: identity.idempotenceId is missing"),
        (message(""), "M: identity.idempotenceId is missing"),
        (message("a\0b"), "M: identity.idempotenceId has NUL or half a surrogate pair"),
        (message("\ud800"), "M: identity.idempotenceId has NUL or half a surrogate pair"),
    ],
)
async def test_what_can_never_be_archived_is_refused_with_the_reason_and_the_others_are_taken(
    database: Database, made: dict[str, Any], reason: str
) -> None:
    refused, taken = await World(database, configuration()).take(made, message("i-2"))
    assert (refused.kind, taken.kind) == (MessageOutcome.REFUSED, MessageOutcome.TAKEN)
    assert (refused.reason or "").startswith(reason)


async def test_a_message_that_one_configuration_refuses_is_archived_for_the_others(database: Database) -> None:
    world = World(database, configuration("id: one"), configuration("id: two", "reference: {id: nowhere}"))
    (verdict,) = await world.take(message())
    assert verdict.kind is MessageOutcome.REFUSED
    assert verdict.reason is not None
    assert verdict.reason.startswith("M/two: ")
    assert await world.rows(job.c.resolved_config_id) == [("one",)]
    assert world.due == 1


@pytest.mark.parametrize("header", [None, "", "nonsense", "00-" + "0" * 32 + "-b7ad6b7169203331-01"])
async def test_a_trace_context_that_is_none_is_left_out(database: Database, header: str | None) -> None:
    world = World(database, configuration())
    await world.take(message(), trace=header)
    assert await world.rows(live_task.c.traceparent, task.c.trace_id) == [(None, None)]


async def test_an_outage_of_the_database_is_waited_for(database: Database) -> None:
    world = World(database, configuration())
    away = [Unavailable(DATABASE, "away"), Unavailable(DATABASE, "away")]
    run = database.run

    async def sometimes(work: Any) -> Any:
        if away:
            raise away.pop()
        return await run(work)

    cast("Any", database).run = sometimes
    assert await world.take(message()) == [MessageVerdict(MessageOutcome.TAKEN)]
    assert not away


async def test_a_new_configuration_holds_for_the_next_message(database: Database) -> None:
    world = World(database)
    assert await world.take(message()) == [MessageVerdict(MessageOutcome.OTHER_TYPE)]
    world.catalog.now = Catalog((configuration(),))
    assert await world.take(message()) == [MessageVerdict(MessageOutcome.TAKEN)]
    assert live_topics(world.catalog.now) == {"t"}
    assert live_topics(Catalog((ArchiveTypeConfiguration("M", "u", "https://x/{id}"),))) == set()


async def test_a_job_that_was_paused_takes_tasks_all_the_same(database: Database) -> None:
    world = World(database, configuration())
    await world.take(message())
    async with database.engine.begin() as connection:
        await connection.execute(update(job).values(paused=True))
    assert await world.take(message("i-2")) == [MessageVerdict(MessageOutcome.TAKEN)]
    assert await world.rows(job.c.total, task.c.position) == [(2, 0), (2, 1)]
