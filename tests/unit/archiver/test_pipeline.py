"""What becomes of commands: outcomes, objects, events and artifact rows, for documents and for all that goes wrong."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

import pytest

from app.archiver.pipeline import HASH_IN_THREAD
from app.catalog.archive_types import Catalog
from app.domain.archive_types import SchemaName
from app.domain.errors import NoArchiveData, PermanentFailure, TransientFailure
from app.domain.identity import artifact_idempotence_id, command_idempotence_id, event_idempotence_id
from app.domain.jobs import JobResult, Reference, TaskState
from app.jobs.control import JobControl
from app.sources.pacing import SourceBusy
from tests.support.core import HISTORY, Core, configuration
from tests.support.metadata import stored_values
from tests.support.scripted_source import document

BUSY = "the source is given a rest"


def unreachable() -> TransientFailure:
    return TransientFailure("HTTP 500", unreachable=True)


async def test_what_becomes_of_a_job_of_three_references(core: Core) -> None:
    job_id = await core.submit("good", "bad", "nothing yet")
    core.source.answers("bad", PermanentFailure("Failed reading artifact from source service: HTTP 404"))
    core.source.answers("nothing yet", NoArchiveData())
    await core.archive(job_id)

    good, bad, nothing = await core.tasks(job_id)
    assert (good.state, good.message) == (TaskState.SUCCEEDED, None)
    assert (bad.state, bad.message) == (TaskState.FAILED, "Failed reading artifact from source service: HTTP 404")
    assert len(bad.trace_id) == 32
    assert (nothing.state, nothing.answered, nothing.no_data_count) == (TaskState.OPEN, True, 1)
    assert nothing.published_at is not None
    job = await core.job(job_id)
    assert (job.state, job.open, job.succeeded, job.failed) == ("open", 1, 1, 1)

    (version,) = await core.versions()
    assert version.user_metadata["reference-id"] == "good"
    assert version.retain_until is not None
    (event,) = core.events()
    assert event["references"]["storageObject"]["storageObjectVersionId"] == version.version_id
    command = command_idempotence_id(job_id, Reference("good"))
    assert event["identity"]["idempotenceId"] == event_idempotence_id(artifact_idempotence_id(command))
    (row,) = await core.artifacts()
    assert (row.version_id, row.job_id, row.revision) == (version.version_id, job_id, 7)
    assert await stored_values(core.database) == {"good": {"title": ('"good"', 7)}}


async def test_a_job_ends_with_its_last_task(core: Core) -> None:
    job_id = await core.submit("a", "b")
    core.source.answers("b", PermanentFailure("no"))
    await core.archive(job_id)
    view = await JobControl(core.database, HISTORY, core.on_due).view(job_id)
    assert view.job.result is JobResult.PARTIALLY_SUCCEEDED
    assert view.job.completed is not None


async def test_transient_failures_use_up_the_attempts(core: Core) -> None:
    job_id = await core.submit("doc", num_of_retry=1)
    core.source.answers("doc", unreachable())
    await core.archive(job_id)
    task = await core.task(job_id)
    assert len(core.source.asked) == 2
    assert task.message == "Failed reading artifact from source service: HTTP 500 (2 attempts)"


async def test_a_transient_failure_that_passes_is_no_failure(core: Core) -> None:
    job_id = await core.submit("doc")
    core.source.answers("doc", unreachable(), unreachable(), document())
    await core.archive(job_id)
    assert (await core.task(job_id)).state == TaskState.SUCCEEDED


async def test_who_has_to_wait_for_long_is_put_back_with_its_attempts(core: Core) -> None:
    job_id = await core.submit("doc")
    core.source.answers("doc", unreachable(), TransientFailure("HTTP 503", retry_after=600, keeps_attempt=True))
    await core.archive(job_id)
    task, job = await core.task(job_id), await core.job(job_id)
    assert (task.state, task.attempts, task.published_at) == (TaskState.OPEN, 1, None)
    assert task.not_before > datetime.now(UTC) + timedelta(seconds=400)
    assert job.held_until is None


async def test_where_the_source_is_busy_its_whole_job_is_held(core: Core) -> None:
    job_id = await core.submit("doc")
    core.source.answers("doc", SourceBusy(30, BUSY))
    await core.archive(job_id)
    task, job = await core.task(job_id), await core.job(job_id)
    assert (task.state, task.attempts) == (TaskState.OPEN, 0)
    assert job.held_until == task.not_before


@pytest.mark.parametrize("announces", [True, False])
async def test_events_are_published_where_that_is_wanted(core: Core, announces: bool) -> None:
    job_id = await core.submit("doc")
    await core.archive(job_id, announces=announces)
    assert len(core.events()) == announces
    assert len(await core.artifacts()) == 1


async def test_objects_are_locked_where_that_is_wanted(core: Core) -> None:
    job_id = await core.submit("doc")
    await core.archive(job_id, locks=False)
    assert [each.retain_until for each in await core.versions()] == [None]


async def test_nothing_is_asked_of_source_and_store_once_it_is_stored(core: Core) -> None:
    job_id = await core.submit("doc")
    process = core.process()
    held: list[tuple[int, int]] = []

    async def look() -> None:
        held.append((process.freed, core.source.in_hand))

    process.objects.before("put", look, times=2)
    process.broker.before("send", look)
    await process.archive(job_id)
    assert held == [(0, 1), (0, 1), (1, 0)]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (document(b"{}"), "Archive data does not match schema PEER/Doc version 1: "),
        (document(schema=SchemaName("PEER", "Other", 1)), "Unknown archive data schema "),
        (document(bucket="foreign"), "Failed reading artifact from source service: header Archive-Storage-Bucket"),
        (document(prefix="foreign"), "Failed reading artifact from source service: header Archive-Storage-Prefix"),
        (document(metadata=(("hash", "x"),)), "Failed storing artifact: the custom metadata name hash is kept"),
    ],
)
async def test_a_document_that_cannot_be_archived_fails_its_task(core: Core, found: object, message: str) -> None:
    job_id = await core.submit("doc")
    core.source.answers("doc", found)  # type: ignore[arg-type]
    await core.archive(job_id)
    task = await core.task(job_id)
    assert task.state == TaskState.FAILED
    assert task.message.startswith(message)
    assert (await core.versions(), core.events(), core.source.in_hand) == ([], [], 0)


async def test_a_configuration_that_is_gone_fails_the_task_without_asking(core: Core) -> None:
    job_id = await core.submit("doc")
    core.catalog.now = Catalog(())
    await core.archive(job_id)
    task = await core.task(job_id)
    assert task.message.startswith("Unknown archive type configuration: no archive type is configured for message Doc")
    assert core.source.asked == []


async def test_a_stored_task_does_not_need_its_configuration(core: Core) -> None:
    job_id = await core.submit("doc")
    process = core.process()
    process.broker.before("send", process.dies)
    with pytest.raises(asyncio.CancelledError):
        await process.archive(job_id)
    core.catalog.now = Catalog(())
    await core.archive(job_id)
    assert (await core.task(job_id)).state == TaskState.SUCCEEDED


async def test_the_row_names_the_configuration_as_it_is_now(core: Core) -> None:
    job_id = await core.submit("doc")
    core.catalog.now = Catalog((configuration(id="new"),))
    await core.archive(job_id)
    (row,) = await core.artifacts()
    assert (row.archive_type, row.config_id) == ("DocCreated/new", "new")


async def test_a_large_document_is_described_too(core: Core) -> None:
    job_id = await core.submit("doc")
    core.source.answers("doc", document("x" * HASH_IN_THREAD))
    await core.archive(job_id)
    (version,) = await core.versions()
    assert version.size > HASH_IN_THREAD


async def test_a_stored_object_that_cannot_be_read_has_no_values(core: Core) -> None:
    job_id = await core.submit("doc")
    process = core.process()
    process.broker.before("send", process.dies)
    with pytest.raises(asyncio.CancelledError):
        await process.archive(job_id)
    (version,) = await core.versions()
    for file in (core.topics.parent / "objects" / "archive" / version.key).iterdir():
        file.unlink()
    await core.archive(job_id)
    (row,) = await core.artifacts()
    assert (row.version_id, row.revision) == (version.version_id, 0)
    assert await stored_values(core.database) == {}


async def test_each_task_is_logged_once(core: Core, caplog: pytest.LogCaptureFixture) -> None:
    job_id = await core.submit("good", "bad", "none", "busy")
    core.source.answers("bad", PermanentFailure("for a reason"))
    core.source.answers("none", NoArchiveData())
    core.source.answers("busy", SourceBusy(30, BUSY))
    with caplog.at_level(logging.DEBUG, "app.archiver.pipeline"):
        await core.archive(job_id)
    texts = {str(vars(record)["reference"]): record.getMessage() for record in caplog.records}
    assert len(caplog.records) == 4
    assert texts.pop("busy").endswith(f": {BUSY}")
    assert texts == {
        "good": "archived",
        "bad": "not archived: for a reason",
        "none": "the source has no archive data, the task stays open",
    }
