"""Pages of references, by state, cause and beginning of the id: the same as if all were read and sifted."""

import random
from dataclasses import replace
from datetime import timedelta
from itertools import product
from uuid import UUID

import pytest
from sqlalchemy import event

from app.db import artifacts, failures, jobs, references, tasks
from app.db.database import Database
from app.db.dialect import _behind
from app.domain.artifacts import ArchivedArtifact
from app.domain.causes import cause_of
from app.domain.jobs import Reference, TaskId, TaskState
from app.domain.references import ReferenceStatus, WantedReferences
from app.domain.tasks import NoData, Outcome, PutBack, Settlement
from tests.support.rows import NOW, insert_job, new_job, publish, stored_artifact

IDS = [
    "a",
    "a%",
    "a%b",
    "a_",
    "A",
    "Ä",
    "ab",
    "abc",
    "b",
    "a\U0010ffff",
    "a\U0010ffff\U0010ffffz",
    "\ud7ff",
    "\ue000",
    "é",
]
LATER = NOW + timedelta(minutes=1)


async def job_of(database: Database, ids: list[str]) -> UUID:
    all_of_it = [Reference(id_, 1) for id_ in ids]
    new = new_job(all_of_it)
    assert await database.run(lambda c: jobs.insert_if_absent(c, new))
    await database.run(lambda c: jobs.insert_tasks(c, new.id, all_of_it))
    return new.id


async def all_pages(database: Database, job_id: UUID, wanted: WantedReferences, size: int) -> list[ReferenceStatus]:
    found, after = [], -1
    async with database.reading() as connection:
        while page := await references.page(connection, job_id, wanted, after, size):
            found += page
            after = page[-1].position
    return found


async def test_what_is_known_of_each_reference_is_shown(database: Database) -> None:
    """Beside another job, which stored the object of one of them before."""
    job_id, before = await insert_job(database, 6), await insert_job(database, 1)
    old, new = stored_artifact("old"), stored_artifact("new")
    longer = NOW + timedelta(days=4000)

    def done(task: TaskId, stored: object, reference: str) -> Outcome:
        archived = ArchivedArtifact(stored, task.job_id, Reference(reference), "M", None, 0, {})  # type: ignore[arg-type]
        return Outcome(task, TaskState.SUCCEEDED, archived=archived)

    async def settle(*answers: Settlement) -> None:
        await database.run(lambda c: tasks.settle(c, answers, LATER))

    await publish(database)
    await settle(done(TaskId(before, 0), old, "ref-0"))
    noted = [(TaskId(job_id, 0), old), (TaskId(job_id, 1), new), (TaskId(job_id, 5), new)]
    await database.run(lambda c: tasks.note(c, noted))
    await settle(
        done(TaskId(job_id, 0), old, "ref-0"),
        done(TaskId(job_id, 1), new, "ref-1"),
        Outcome(TaskId(job_id, 2), TaskState.FAILED, "step: HTTP 503 (4 attempts)", "t" * 32),
        NoData(TaskId(job_id, 3), "u" * 32),
        PutBack(TaskId(job_id, 4), LATER, 2),
    )
    lengthened = ArchivedArtifact(replace(new, retain_until=longer), job_id, Reference("ref-1"), "M", None, 0, {})
    await database.run(lambda c: artifacts.insert(c, [lengthened]))
    found = await all_pages(database, job_id, WantedReferences(), 4)
    assert [each.position for each in found] == list(range(6))
    adopted, own, failed, empty, back, open_ = found
    assert adopted.object is not None
    assert own.object is not None
    assert (adopted.object.artifact_id, own.object.artifact_id) == (1, 2)
    assert (own.object.version_id, own.object.sha256, own.object.size) == (new.version_id, new.sha256, new.size)
    assert (own.object.retain_until, own.object.stored_at) == (longer, new.archived_at)
    assert (own.state, own.published_at, own.finished_at, own.message, own.cause) == (
        "succeeded",
        NOW,
        LATER,
        None,
        None,
    )
    assert (failed.message, failed.cause) == ("step: HTTP 503 (4 attempts)", "step: HTTP 503")
    assert (failed.trace_id, failed.attempts, failed.object) == ("t" * 32, 4, None)
    assert (empty.state, empty.no_data_count, empty.no_data_at) == ("open", 1, LATER)
    assert (back.attempts, back.published_at, back.finished_at) == (2, None, None)
    assert open_.object is not None  # stored, and not announced yet
    assert (open_.state, open_.no_data_count) == ("open", 0)


async def test_every_filter_gives_what_sifting_gives(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether those that begin alike stand close or not, on pages of any size."""
    dice = random.Random(5)
    ids = [f"{id_}{n}" for n, id_ in enumerate(dice.choices(IDS, k=120))] + IDS
    job_id = await job_of(database, ids)
    await job_of(database, ids)
    await publish(database, batch=90, window=90)
    answers: list[Settlement] = []
    for position in range(0, 100):
        task = TaskId(job_id, position)
        message = dice.choice(["step: HTTP 404", "step: HTTP 500 (4 attempts)", "step: HTTP 500 (2 attempts)", None])
        possible: list[Settlement] = [
            Outcome(task, TaskState.SUCCEEDED),
            Outcome(task, TaskState.FAILED, message, "t"),
            NoData(task, "t"),
            PutBack(task, LATER, 1),
        ]
        answers.append(dice.choice(possible))
    await database.run(lambda c: tasks.settle(c, answers, NOW))
    everything = await all_pages(database, job_id, WantedReferences(), 1000)
    assert [each.reference.id for each in everything] == ids
    states, prefixes = [None, *TaskState], [None, "", "zz", *IDS, "a1", "a\U0010ffff\U0010ffff"]
    for window, state, prefix, cause in product(
        (3, 20_000), states, prefixes, (None, "step: HTTP 500", "step: HTTP 404", cause_of(None), "none", "")
    ):
        monkeypatch.setattr(references, "WINDOW", window)
        expected = [
            each
            for each in everything
            if state in (None, each.state)
            and each.reference.id.startswith(prefix or "")
            and (cause is None or (each.state is TaskState.FAILED and cause_of(each.message) == cause))
        ]
        assert (
            await all_pages(database, job_id, WantedReferences(state, prefix, cause), dice.choice([5, 50, 500]))
            == expected
        ), (
            window,
            state,
            prefix,
            cause,
        )
        if not prefix:
            await backwards(
                database, job_id, WantedReferences(state, None, cause), [each.position for each in expected]
            )


async def backwards(database: Database, job_id: UUID, wanted: WantedReferences, expected: list[int]) -> None:
    """From the last page to the first, each begins where it must."""
    begin: int | None = None
    size = 7
    async with database.reading() as connection:
        for at in range(len(expected), 0, -size):
            begin = await references.last(connection, job_id, wanted, begin if begin is None else begin + 1, size)
            assert begin == (expected[at - size - 1] if at > size else -1), (wanted, at)


async def test_ids_as_long_as_they_may_be_are_indexed(database: Database) -> None:
    dice = random.Random(1)
    ids = ["".join(chr(dice.randrange(0x10000, 0x10FFFF)) for _ in range(512)) for _ in range(3)]
    job_id = await job_of(database, ids)
    for id_ in ids:
        for prefix in (id_, id_[:511], id_[:1]):
            found = await all_pages(database, job_id, WantedReferences(prefix=prefix), 10)
            assert [each.reference.id for each in found] == [each for each in ids if each.startswith(prefix)]


def test_behind_all_that_begin_so_is_the_next_text() -> None:
    assert _behind("ab") == "ac"
    assert _behind("a\ud7ff") == "a\ue000"
    assert _behind("a\U0010ffff") == "b"
    assert _behind("\U0010ffff\U0010ffff") is None


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_sqlite_reads_no_whole_job_for_a_page_or_for_failures(database: Database) -> None:
    """It knows no statistics: each search goes by more than the job."""
    job_id = await insert_job(database, 50)
    failed = [Outcome(TaskId(job_id, n), TaskState.FAILED, "step: HTTP 404", "t") for n in range(10)]
    await database.run(lambda c: tasks.settle(c, failed, NOW))
    statements: list[tuple[str, tuple[object, ...]]] = []

    def keep(_connection: object, _cursor: object, statement: str, values: tuple[object, ...], *_: object) -> None:
        statements.append((statement, values))

    event.listen(database.engine.sync_engine, "before_cursor_execute", keep)
    async with database.reading() as connection:
        for wanted in (
            WantedReferences(),
            WantedReferences(TaskState.OPEN),
            WantedReferences(cause="step: HTTP 404"),
            WantedReferences(prefix="ref-4"),
        ):
            assert await references.page(connection, job_id, wanted, -1, 5)
        assert (await failures.by_cause(connection, job_id, 100)).failed == 10
        event.remove(database.engine.sync_engine, "before_cursor_execute", keep)
        for statement, values in statements:
            for *_, line in await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values):
                if "backfill_task" in line:
                    assert "(job_id=? AND" in line, statement
