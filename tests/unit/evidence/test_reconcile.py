"""What became of references, over all jobs that they were submitted in; on PostgreSQL too (`on_postgres`)."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from app.catalog.archive_types import Catalog
from app.catalog.live import LiveCatalog
from app.db import jobs, tasks
from app.db.database import Database
from app.domain.archive_types import ArchiveTypeConfiguration
from app.domain.artifacts import ArchivedArtifact, StoredArtifact
from app.domain.identity import live_job_id
from app.domain.jobs import Reference, TaskId, TaskState
from app.domain.reconciled import Reconciled, ReferenceVerdict
from app.domain.tasks import NoData, Outcome
from app.evidence.objects import LockTerms
from app.evidence.reconcile import NotReconcilable, Objects, Reconciliation
from app.objectstore.filesystem import FilesystemObjectStore
from tests.support.live import insert_live, new_task
from tests.support.rows import NOW, new_job, stored_artifact

M = ArchiveTypeConfiguration("M", "t", uri="https://source.example/{id}/{version}", id="c")


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    yield database
    await database.close()


def reconciliation(database: Database, *configurations: ArchiveTypeConfiguration) -> Reconciliation:
    catalog = LiveCatalog(Catalog(configurations or (M,)))
    store = FilesystemObjectStore(Path("/nowhere"), object_lock_enabled=False)
    return Reconciliation(database, catalog, Objects(store, LockTerms(None)))


async def job_of(database: Database, *references: Reference, later: int = 0, config_id: str = "c") -> UUID:
    new = new_job(list(references), started=NOW + timedelta(minutes=later))
    new = replace(new, resolved_config_id=config_id)
    assert await database.run(lambda c: jobs.insert_if_absent(c, new))
    await database.run(lambda c: jobs.insert_tasks(c, new.id, list(references)))
    return new.id


async def archive(
    database: Database,
    job_id: UUID,
    position: int,
    reference: Reference,
    stored: StoredArtifact,
    config_id: str = "c",
) -> None:
    await database.run(lambda c: tasks.note(c, [(TaskId(job_id, position), stored)]))
    archived = ArchivedArtifact(stored, job_id, reference, "M", config_id, 0, {})
    outcome = Outcome(TaskId(job_id, position), TaskState.SUCCEEDED, archived=archived)
    await database.run(lambda c: tasks.settle(c, [outcome], NOW))


async def fail(database: Database, job_id: UUID, position: int) -> None:
    outcome = Outcome(TaskId(job_id, position), TaskState.FAILED, "Failed: HTTP 404", "0" * 32)
    await database.run(lambda c: tasks.settle(c, [outcome], NOW))


async def have_no_data(database: Database, job_id: UUID, position: int) -> None:
    await database.run(lambda c: tasks.settle(c, [NoData(TaskId(job_id, position), "0" * 32)], NOW))


async def verdicts(
    database: Database, references: Sequence[Reference], config_id: str | None = None
) -> list[Reconciled]:
    story = reconciliation(database)
    scope = await story.scope("M", config_id)
    found = [each async for some in story.verdicts(scope, references) for each in some]
    assert {type(each.job_id) for each in found} <= {UUID, type(None)}  # orjson refuses those of the driver
    return found


async def test_each_verdict_names_the_job_that_it_is_of(database: Database) -> None:
    all_of_them = [Reference(name, 1) for name in ("archived", "open", "failed", "without")]
    job_id = await job_of(database, *all_of_them)
    await archive(database, job_id, 0, all_of_them[0], stored_artifact())
    await fail(database, job_id, 2)
    await have_no_data(database, job_id, 3)
    found = await verdicts(database, [*all_of_them, Reference("never", 1)])
    assert [each.verdict for each in found] == ["archived", "open", "failed", "no-data", "unknown"]
    assert [each.job_id for each in found] == [job_id] * 4 + [None]
    assert [each.artifact_id is not None for each in found] == [True, False, False, False, False]


async def test_of_several_jobs_archived_wins_then_open_then_the_newest(database: Database) -> None:
    a, b, c = (Reference(name, 1) for name in "abc")
    first = await job_of(database, a, b, c)
    second = await job_of(database, a, b, c, later=1)
    third = await job_of(database, a, c, later=2)
    await archive(database, first, 0, a, stored_artifact())
    await fail(database, second, 0)
    await fail(database, second, 1)  # b is open in the first
    await fail(database, first, 2)
    await fail(database, second, 2)
    await have_no_data(database, third, 1)
    found = await verdicts(database, [a, b, c])
    assert [(each.verdict, each.job_id) for each in found] == [
        (ReferenceVerdict.ARCHIVED, first),
        (ReferenceVerdict.OPEN, first),
        (ReferenceVerdict.NO_DATA, third),
    ]


async def test_an_object_that_was_there_already_is_archived(database: Database) -> None:
    """It is the artifact of another archive type, which a job stored before."""
    reference = Reference("a", 1)
    other = await job_of(database, reference, config_id="d")
    await archive(database, other, 0, reference, stored_artifact(), config_id="d")
    own = await job_of(database, reference, config_id="c", later=1)
    await archive(database, own, 0, reference, stored_artifact())
    two = (M, replace(M, id="d"))
    story = reconciliation(database, *two)
    for config_id, job_id in (("c", own), ("d", other)):
        scope = await story.scope("M", config_id)
        [[found]] = [some async for some in story.verdicts(scope, [reference])]
        assert (found.verdict, found.job_id) == (ReferenceVerdict.ARCHIVED, job_id)
        assert found.artifact_id is not None


async def test_without_version_is_any_version_where_there_is_none_without(database: Database) -> None:
    versions = [Reference("a", 1), Reference("a", 2), Reference("b", 1), Reference("b", 2), Reference("c", 1)]
    job_id = await job_of(database, *versions)
    for place in (0, 1):
        await archive(database, job_id, place, versions[place], stored_artifact(f"v{place}"))
    await fail(database, job_id, 2)
    given = [Reference("a"), Reference("b"), Reference("c"), Reference("d")]
    found = await verdicts(database, given)
    assert [each.reference for each in found] == given
    assert [each.verdict for each in found] == ["archived", "open", "open", "unknown"]
    [highest] = await verdicts(database, [Reference("a", 2)])
    assert found[0].artifact_id == highest.artifact_id
    await job_of(database, Reference("a"), later=1)
    [exact] = await verdicts(database, [Reference("a")])
    assert exact.verdict is ReferenceVerdict.OPEN


async def test_a_version_is_meant_exactly(database: Database) -> None:
    await job_of(database, Reference("a", 1), Reference("b"))
    found = await verdicts(database, [Reference("a", 2), Reference("b", 1)])
    assert [each.verdict for each in found] == ["unknown", "unknown"]


async def test_a_reference_that_is_asked_for_twice_is_answered_twice(database: Database) -> None:
    await job_of(database, Reference("a", 1))
    assert len(await verdicts(database, [Reference("a", 1)] * 3)) == 3


async def test_more_jobs_than_one_query_looks_through(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.db.reconcile.JOBS_AT_ONCE", 2)
    a, b = Reference("a", 1), Reference("b", 1)
    ids = [await job_of(database, a, b, later=number) for number in range(5)]
    for job_id in ids:
        await fail(database, job_id, 0)
    for job_id in ids[1:]:
        await fail(database, job_id, 1)
    found = await verdicts(database, [a, b])
    assert [(each.verdict, each.job_id) for each in found] == [
        (ReferenceVerdict.FAILED, ids[4]),
        (ReferenceVerdict.OPEN, ids[0]),
    ]


async def test_the_scope_is_one_configuration(database: Database) -> None:
    d = replace(M, id="d")
    await job_of(database, Reference("a", 1), config_id="gone")
    with pytest.raises(NotReconcilable, match="choose one with configId: c, d"):
        await reconciliation(database, M, d).scope("M", None)
    with pytest.raises(NotReconcilable, match="no configuration with config-id x"):
        await reconciliation(database, M, d).scope("M", "x")
    with pytest.raises(NotReconcilable, match="no configuration with config-id x"):
        await reconciliation(database).scope("M", "x")
    with pytest.raises(NotReconcilable, match="no archive type is configured for message N"):
        await reconciliation(database).scope("N", None)
    assert len((await reconciliation(database, M, d).scope("M", "gone")).jobs) == 1
    assert (await reconciliation(database, M, d).scope("M", "c")).jobs == []
    # one configuration: all of the message, also of the time when it had another id
    assert len((await reconciliation(database).scope("M", None)).jobs) == 1
    elsewhere = replace(M, message_type="N")
    assert len((await reconciliation(database, elsewhere).scope("M", None)).jobs) == 1


async def test_all_archive_types_of_a_message_are_found(database: Database) -> None:
    for place, config_id in enumerate(("a", "b", "c")):
        job_id = await job_of(database, Reference("x", 1), config_id=config_id)
        await archive(database, job_id, 0, Reference("x", 1), stored_artifact(f"v{place}"), config_id)
    assert sorted((await reconciliation(database).scope("M", None)).types) == ["M/a", "M/b", "M/c"]
    two = (M, replace(M, id="d"))
    assert (await reconciliation(database, *two).scope("M", "c")).types == ["M/c"]


async def test_what_messages_named_has_its_verdicts_too(database: Database) -> None:
    names = ("open", "failed", "without")
    new = [new_task(f"m{place}", name, version=1, archive_type="M/c") for place, name in enumerate(names)]
    newer = new_task("later", "failed", version=1, archive_type="M/c")
    await insert_live(database, NOW, *(replace(each, message_type="M", config_id="c") for each in (*new, newer)))
    job_id = live_job_id("M/c", NOW.date())
    await fail(database, job_id, 1)
    await have_no_data(database, job_id, 2)
    wanted = [Reference(name, 1) for name in (*names, "never")]
    found = await verdicts(database, wanted)
    assert [each.verdict for each in found] == ["open", "open", "no-data", "unknown"], "a newer message is open"
    assert [each.job_id for each in found] == [job_id] * 3 + [None]
    await fail(database, job_id, 3)
    assert [each.verdict for each in await verdicts(database, wanted)] == ["open", "failed", "no-data", "unknown"]
