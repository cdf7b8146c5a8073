"""Each row of the crash table in docs/architecture.md: a process dies at that line, and the next one gets the command.

However it went, there is one object version, one outcome and one event identity. Relay, consume and look up are in
tests/unit/messaging.
"""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.domain.jobs import TaskState
from app.jobs.submit import Accepted, Submissions
from app.objectstore import Upload
from tests.support.core import DORA, HISTORY, Core, Process, submission
from tests.support.metadata import stored_values
from tests.support.scripted_source import document
from tests.support.tampered import Died, Life, Tampered


def of_schema(upload: Upload) -> bool:
    return upload.key.startswith("archive-data-schema/")


def of_document(upload: Upload) -> bool:
    return not of_schema(upload)


async def died_with(process: Process, job_id: UUID, *plan: Any) -> None:
    """The process takes the command, then the plan is made, and it dies of it."""
    (work,) = await process.take(job_id)
    part, when, method, *which = plan
    getattr(part, when)(method, process.dies, **({"which": which[0]} if which else {}))
    with pytest.raises(asyncio.CancelledError):
        await process.run(work)
    assert process.life.is_over


async def assert_one_effect(core: Core, job_id: UUID) -> None:
    task, job = await core.task(job_id), await core.job(job_id)
    assert (task.state, task.message) == (TaskState.SUCCEEDED, None)
    assert (job.state, job.open, job.succeeded, job.failed) == ("completed", 0, 1, 0)
    (version,) = await core.versions()
    assert version.user_metadata["job-id"] == str(job_id)
    assert len(await core.versions(schemas=True)) == 1
    (row,) = await core.artifacts()
    assert row.version_id == version.version_id
    events = core.events()
    assert len(set(core.event_ids())) == 1
    told = {event["references"]["storageObject"]["storageObjectVersionId"] for event in events}
    assert told == {version.version_id}


async def test_submit_nothing_or_everything(core: Core) -> None:
    job_id, body, life = uuid4(), submission("a", "b", "c"), Life()
    database: Any = Tampered(core.database, life)
    database.within("run", life.end)
    with pytest.raises(Died):
        await Submissions(database, HISTORY, core.catalog, core.on_due).submit(job_id, body, DORA)
    assert await core.tasks(job_id) == []
    assert core.due == 0
    assert await core.submissions.submit(job_id, body, DORA) is Accepted.NEW
    assert len(await core.tasks(job_id)) == 3


async def test_submit_everything_although_nobody_was_told(core: Core) -> None:
    job_id, body, life = uuid4(), submission("a", "b", "c"), Life()
    database: Any = Tampered(core.database, life)
    database.after("run", life.end)
    with pytest.raises(Died):
        await Submissions(database, HISTORY, core.catalog, core.on_due).submit(job_id, body, DORA)
    assert len(await core.tasks(job_id)) == 3
    assert await core.submissions.submit(job_id, body, DORA) is Accepted.REPEATED
    job = await core.job(job_id)
    assert (job.total, job.open, len(await core.tasks(job_id))) == (3, 3, 3)


async def test_fetch_work_is_done_again(core: Core) -> None:
    job_id = await core.submit("doc")
    process = core.process()
    core.source.answers("doc", process.dies, document("doc"))
    with pytest.raises(asyncio.CancelledError):
        await process.archive(job_id)
    assert process.life.is_over
    assert (await core.task(job_id)).state == TaskState.OPEN
    assert await core.versions() == []
    await core.archive(job_id)
    assert len(core.source.asked) == 2
    await assert_one_effect(core, job_id)


async def test_check_work_is_done_again(core: Core) -> None:
    job_id = await core.submit("doc")
    process = core.process()
    await died_with(process, job_id, process.metadata, "before", "values")
    assert await core.versions() == []
    assert core.source.in_hand == 0
    await core.archive(job_id)
    assert len(core.source.asked) == 2
    await assert_one_effect(core, job_id)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_store_a_schema_is_found_or_put(core: Core, when: str) -> None:
    job_id = await core.submit("doc")
    process = core.process()
    await died_with(process, job_id, process.objects, when, "put", of_schema)
    assert len(await core.versions(schemas=True)) == (when == "after")
    await core.archive(job_id)
    await assert_one_effect(core, job_id)


async def test_store_nothing_was_put(core: Core) -> None:
    job_id = await core.submit("doc")
    process = core.process()
    await died_with(process, job_id, process.objects, "before", "put", of_document)
    assert await core.versions() == []
    await core.archive(job_id)
    await assert_one_effect(core, job_id)


async def test_store_an_object_that_the_next_try_finds_by_its_job_id(core: Core) -> None:
    job_id = await core.submit("doc")
    core.source.answers("doc", document("first"), document("changed meanwhile"))
    process = core.process()
    await died_with(process, job_id, process.objects, "after", "put", of_document)
    (left,) = await core.versions()
    assert (await core.task(job_id)).stored is None
    await core.archive(job_id)
    await assert_one_effect(core, job_id)
    assert [each.version_id for each in await core.versions()] == [left.version_id]
    (row,) = await core.artifacts()
    assert row.hash == left.user_metadata["hash"]
    assert (await stored_values(core.database))["doc"]["title"] == ('"first"', 7)


async def test_store_the_next_try_dies_too(core: Core) -> None:
    job_id = await core.submit("doc")
    for method in ("put", "head"):
        process = core.process()
        await died_with(process, job_id, process.objects, "after", method, *([of_document] if method == "put" else []))
    await core.archive(job_id)
    await assert_one_effect(core, job_id)


@pytest.mark.parametrize("when", ["before", "within"])
async def test_note_that_was_not_committed_is_made_again(core: Core, when: str) -> None:
    job_id = await core.submit("doc")
    process = core.process()
    await died_with(process, job_id, process.database, when, "once")
    assert (await core.task(job_id)).stored is None
    assert core.events() == []
    await core.archive(job_id)
    await assert_one_effect(core, job_id)
    assert len(core.events()) == 1


async def test_note_goes_on_at_announce(core: Core) -> None:
    job_id = await core.submit("doc")
    process = core.process()
    await died_with(process, job_id, process.database, "after", "once")
    assert (await core.task(job_id)).stored is not None
    assert core.events() == []
    core.source.answers("doc", AssertionError("the source is not asked again"))
    after = core.process()
    await after.archive(job_id)
    assert after.objects.calls["put"] == 0
    await assert_one_effect(core, job_id)
    assert len(core.events()) == 1


@pytest.mark.parametrize(("when", "events"), [("before", 1), ("after", 2)])
async def test_announce_the_same_event_again_with_the_same_id(core: Core, when: str, events: int) -> None:
    job_id = await core.submit("doc")
    process = core.process()
    await died_with(process, job_id, process.broker, when, "send")
    assert (await core.task(job_id)).state == TaskState.OPEN
    await core.archive(job_id)
    assert len(core.events()) == events
    assert len({event["identity"]["eventId"] for event in core.events()}) == events
    await assert_one_effect(core, job_id)


@pytest.mark.parametrize("when", ["before", "within"])
async def test_record_the_event_again_then_recorded(core: Core, when: str) -> None:
    job_id = await core.submit("doc")
    process = core.process()
    await died_with(process, job_id, process.database, when, "run")
    task, job = await core.task(job_id), await core.job(job_id)
    assert (task.state, job.open) == (TaskState.OPEN, 1)
    assert await core.artifacts() == []
    await core.archive(job_id)
    assert len(core.events()) == 2
    await assert_one_effect(core, job_id)


async def test_record_that_was_committed_is_acknowledged(core: Core) -> None:
    job_id = await core.submit("doc")
    process = core.process()
    await died_with(process, job_id, process.database, "after", "run")
    after = core.process()
    await after.archive(job_id)
    assert (after.settled, len(core.source.asked), len(core.events())) == (0, 1, 1)
    await assert_one_effect(core, job_id)


@pytest.mark.parametrize("when", ["before", "within"])
async def test_record_a_failure_is_found_again(core: Core, when: str) -> None:
    job_id = await core.submit("doc")
    core.source.answers("doc", document(b"[]"))
    process = core.process()
    await died_with(process, job_id, process.database, when, "run")
    assert (await core.job(job_id)).failed == 0
    await core.archive(job_id)
    task, job = await core.task(job_id), await core.job(job_id)
    assert (task.state, job.failed, job.open) == (TaskState.FAILED, 1, 0)
    assert (await core.versions(), core.events()) == ([], [])


async def test_a_command_that_comes_twice_at_once_has_one_effect(core: Core) -> None:
    job_id = await core.submit("doc")
    one, other = core.process(), core.process()
    (first,), (second,) = await one.take(job_id), await other.take(job_id)
    await one.run(first)
    await other.run(second)
    await assert_one_effect(core, job_id)
    assert len(core.events()) == 1
