"""Outages, stops, pauses, cancels and unexpected errors in the middle of archiving: what the task is afterwards."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.archiver.pipeline import LATE_FAILURE_PAUSE
from app.domain.errors import NoArchiveData, PermanentFailure, Unavailable
from app.domain.jobs import TaskState
from app.domain.readiness import BROKER, DATABASE, OBJECT_STORE
from app.jobs.control import JobControl
from app.messaging import create_artifact
from app.objectstore import Upload
from tests.support.core import HISTORY, Core
from tests.support.metadata import stored_values


def control(core: Core) -> JobControl:
    return JobControl(core.database, HISTORY, core.on_due)


@pytest.mark.parametrize(
    ("part", "method", "component"),
    [
        ("objects", "put", OBJECT_STORE),
        ("broker", "send", BROKER),
        ("database", "once", DATABASE),
        ("database", "run", DATABASE),
    ],
)
async def test_work_waits_for_what_is_away_and_fails_nothing(
    core: Core, part: str, method: str, component: str
) -> None:
    job_id = await core.submit("doc")
    process = core.process()
    (work,) = await process.take(job_id)
    seen: list[str | None] = []

    async def away() -> None:
        seen.append(process.readiness.problems.get(component))
        raise Unavailable(component, f"away {len(seen)}")

    getattr(process, part).before(method, away, times=3)
    await process.run(work)
    assert seen[1:] == ["away 1", "away 2"]
    assert process.readiness.problems.get(component) == "not seen yet"
    assert (await core.task(job_id)).state == TaskState.SUCCEEDED
    assert (len(await core.versions()), len(core.events()), len(core.source.asked)) == (1, 1, 1)


async def test_a_put_whose_answer_is_lost_is_looked_for_and_not_sent_again(core: Core) -> None:
    job_id = await core.submit("doc")
    process = core.process()
    (work,) = await process.take(job_id)

    def of_document(upload: Upload) -> bool:
        return not upload.key.startswith("archive-data-schema/")

    puts: list[None] = []

    async def counted() -> None:
        puts.append(None)

    process.objects.before("put", counted, which=of_document, times=2)
    process.objects.after("put", Unavailable(OBJECT_STORE, "the answer was lost"), which=of_document)
    await process.run(work)
    assert (await core.task(job_id)).state == TaskState.SUCCEEDED
    assert (len(puts), len(await core.versions())) == (1, 1)


async def test_a_commit_whose_answer_is_lost_in_an_outage_is_no_second_effect(core: Core) -> None:
    job_id = await core.submit("doc")
    process = core.process()
    (work,) = await process.take(job_id)
    process.database.after("run", Unavailable(DATABASE, "the answer was lost"))
    await process.run(work)
    job = await core.job(job_id)
    assert (job.state, job.succeeded) == ("completed", 1)
    assert len(await core.artifacts()) == 1


async def test_a_note_whose_answer_is_lost_puts_the_task_back_and_the_next_try_announces(core: Core) -> None:
    job_id = await core.submit("doc")
    process = core.process()
    (work,) = await process.take(job_id)
    process.database.after("once", Unavailable(DATABASE, "the answer was lost"))
    await process.run(work)
    task = await core.task(job_id)
    assert (task.state, task.published_at, core.events()) == (TaskState.OPEN, None, [])
    assert task.stored is not None
    await core.archive(job_id)
    assert (len(core.events()), len(await core.versions()), len(core.source.asked)) == (1, 1, 1)
    assert (await core.task(job_id)).state == TaskState.SUCCEEDED


async def cut_off(core: Core, job_id: Any, plan: Callable[[Any, Callable[[], Awaitable[None]]], None]) -> None:
    """Cancels the work where the plan comes to its act, as a stop of the service does."""
    process = core.process()
    there, (work,) = asyncio.Event(), await process.take(job_id)

    async def wait_for_ever() -> None:
        there.set()
        await asyncio.Event().wait()

    plan(process, wait_for_ever)
    running = asyncio.create_task(process.run(work))
    await there.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.parametrize(
    "plan",
    [
        lambda process, wait: process.metadata.before("values", wait),
        lambda process, wait: process.objects.before("put", wait),
        lambda process, wait: process.objects.after("put", wait, times=2),
        lambda process, wait: process.broker.before("send", wait),
        lambda process, wait: process.broker.after("send", wait),
    ],
    ids=["check", "before put", "after put", "before send", "after send"],
)
async def test_what_a_stop_cuts_off_is_put_back_at_once_and_done_by_the_next(core: Core, plan: Any) -> None:
    job_id = await core.submit("doc")
    await cut_off(core, job_id, plan)
    task = await core.task(job_id)
    assert (task.state, task.published_at, task.attempts) == (TaskState.OPEN, None, 0)
    assert task.not_before <= datetime.now(UTC)
    await core.archive(job_id)
    assert (await core.task(job_id)).state == TaskState.SUCCEEDED
    assert (len(await core.versions()), len(set(core.event_ids()))) == (1, 1)


async def test_a_cancel_while_storing_leaves_the_object_noted_and_not_announced(core: Core) -> None:
    job_id = await core.submit("doc")
    process = core.process()

    async def cancel() -> None:
        await control(core).cancel(job_id, "Dora")

    process.objects.after("put", cancel, which=lambda upload: upload.tag is not None)
    await process.archive(job_id)
    task, (version,) = await core.task(job_id), await core.versions()
    assert (task.state, task.message) == (TaskState.FAILED, "cancelled by Dora")
    assert version.version_id in task.stored
    assert (core.events(), await core.artifacts()) == ([], [])
    job = await core.job(job_id)
    assert (job.state, job.failed, job.cancelled) == ("completed", 1, 1)


async def test_a_cancel_of_what_is_stored_lets_it_be_announced(core: Core) -> None:
    job_id = await core.submit("doc")
    process = core.process()

    async def cancel() -> None:
        await control(core).cancel(job_id, "Dora")

    process.broker.before("send", cancel)
    await process.archive(job_id)
    assert (await core.task(job_id)).state == TaskState.SUCCEEDED
    assert len(core.events()) == 1


async def test_a_task_whose_job_is_paused_is_put_back_without_asking(core: Core) -> None:
    job_id = await core.submit("doc")
    await control(core).pause(job_id, "Dora")
    await core.archive(job_id)
    task = await core.task(job_id)
    assert (task.state, task.published_at, core.source.asked) == (TaskState.OPEN, None, [])


@pytest.mark.parametrize(("steer", "state"), [("pause", TaskState.OPEN), ("cancel", TaskState.FAILED)])
async def test_a_task_that_waits_for_its_turn_is_not_started_any_more(
    core: Core, monkeypatch: pytest.MonkeyPatch, steer: str, state: TaskState
) -> None:
    monkeypatch.setattr(create_artifact, "STALE", -1.0)
    job_id = await core.submit("doc")

    async def meanwhile() -> None:
        core.source.turn = None
        await getattr(control(core), steer)(job_id, "Dora")

    core.source.turn = meanwhile
    await core.archive(job_id)
    task = await core.task(job_id)
    assert (task.state, task.published_at, task.attempts, core.source.asked) == (state, None, 0, [])


@pytest.mark.parametrize("steer", ["pause", "cancel"])
async def test_a_task_that_waited_in_hand_is_looked_at_again(
    core: Core, monkeypatch: pytest.MonkeyPatch, steer: str
) -> None:
    monkeypatch.setattr(create_artifact, "STALE", -1.0)
    job_id = await core.submit("doc")
    process = core.process()
    (work,) = await process.take(job_id)
    await getattr(control(core), steer)(job_id, "Dora")
    await process.run(work)
    assert (core.source.asked, await core.versions()) == ([], [])


async def test_an_unexpected_error_fails_its_task_and_names_the_trace(
    core: Core, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = await core.submit("doc", "other")
    process = core.process()
    process.metadata.before("values", KeyError("a secret of the document"))
    await process.archive(job_id)
    failed, other = await core.tasks(job_id)
    assert failed.message == "Failed archiving: internal error KeyError; the log has it under the trace id"
    assert other.state == TaskState.SUCCEEDED
    (logged,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert vars(logged)["trace_id"] == failed.trace_id
    assert logged.exc_info is not None


async def test_a_stored_task_cannot_fail_and_is_tried_again_a_minute_later(
    core: Core, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = await core.submit("doc")
    process = core.process()
    process.broker.before("send", ValueError("nobody thought of it"))
    await process.archive(job_id)
    task = await core.task(job_id)
    assert (task.state, task.message, task.published_at) == (TaskState.OPEN, None, None)
    assert LATE_FAILURE_PAUSE - timedelta(seconds=10) < task.not_before - datetime.now(UTC) <= LATE_FAILURE_PAUSE
    assert (await core.job(job_id)).failed == 0
    assert any(record.getMessage().startswith("stored, but not announced: ") for record in caplog.records)
    await core.archive(job_id)
    assert (await core.task(job_id)).state == TaskState.SUCCEEDED
    assert (len(core.events()), len(core.source.asked), len(await core.versions())) == (1, 1, 1)


async def test_a_success_that_cannot_be_recorded_is_recorded_without_its_values(core: Core) -> None:
    job_id = await core.submit("doc")
    process = core.process()
    (work,) = await process.take(job_id)
    process.database.before("run", ValueError("a value does not fit"))
    await process.run(work)
    assert (await core.task(job_id)).state == TaskState.SUCCEEDED
    (row,) = await core.artifacts()
    assert row.revision == 0
    assert await stored_values(core.database) == {}


async def test_a_failure_that_cannot_be_recorded_is_recorded_with_a_plainer_message(core: Core) -> None:
    job_id = await core.submit("doc")
    core.source.answers("doc", PermanentFailure("with \0 in it"))
    process = core.process()
    (work,) = await process.take(job_id)
    process.database.before("run", ValueError("a text that the database does not take"))
    await process.run(work)
    task = await core.task(job_id)
    assert task.state == TaskState.FAILED
    assert task.message == "Failed archiving: internal error ValueError; the log has it under the trace id"


async def test_no_data_that_cannot_be_recorded_is_tried_once_more(core: Core) -> None:
    job_id = await core.submit("doc")
    core.source.answers("doc", NoArchiveData())
    process = core.process()
    (work,) = await process.take(job_id)
    process.database.before("run", ValueError("for once"))
    await process.run(work)
    assert (await core.task(job_id)).no_data_count == 1


async def test_an_answer_that_can_never_be_recorded_is_raised(core: Core) -> None:
    job_id = await core.submit("doc")
    process = core.process()
    (work,) = await process.take(job_id)
    process.database.before("run", ValueError("always"), times=9)
    with pytest.raises(ValueError, match="always"):
        await process.run(work)
    assert (await core.task(job_id)).state == TaskState.OPEN


async def test_a_schema_that_is_known_does_not_show_that_the_store_is_reached(core: Core) -> None:
    """Jobs wait for a store that takes nothing, although the schemas beside the data are all there."""
    process = core.process()
    await process.archive(await core.submit("first"))
    before = process.readiness.worked_at(OBJECT_STORE)
    looked: list[float] = []

    async def look() -> None:
        looked.append(process.readiness.worked_at(OBJECT_STORE))

    process.objects.before("put", look)
    await process.archive(await core.submit("second"))
    assert looked == [before]
    assert process.readiness.worked_at(OBJECT_STORE) > before
