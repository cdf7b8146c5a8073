"""What the archiver asks and tells the database: one transaction for many tasks, and what follows from answers."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from app.archiver.records import Records
from app.domain.identity import reference_key
from app.domain.jobs import FailureThreshold, Reference, TaskId, TaskState
from app.domain.readiness import Readiness
from app.domain.tasks import NoData, Outcome, PutBack, Settlement, TaskKey
from app.jobs.control import JobControl
from tests.support.core import HISTORY, Core
from tests.support.rows import stored_artifact


def key(job_id: UUID, reference: str) -> TaskKey:
    return TaskKey(job_id, UUID(bytes=reference_key(Reference(reference))))


def failed(job_id: UUID, place: int) -> Outcome:
    return Outcome(TaskId(job_id, place), TaskState.FAILED, "for a reason", "0" * 32)


def succeeded(job_id: UUID, place: int) -> Outcome:
    return Outcome(TaskId(job_id, place), TaskState.SUCCEEDED)


async def test_tasks_are_looked_up_together_and_unknown_ones_are_absent(core: Core) -> None:
    process, job_id = core.process(), await core.submit("a", "b")
    wanted = [key(job_id, "a"), key(job_id, "b"), key(job_id, "c"), key(uuid4(), "a")]
    found = await process.records.look_up(wanted)
    assert {each: row.id for each, row in found.items()} == {
        wanted[0]: TaskId(job_id, 0),
        wanted[1]: TaskId(job_id, 1),
    }
    row = found[wanted[0]]
    assert (row.state, row.stored, row.message, row.paused) == (TaskState.OPEN, None, "DocCreated", False)
    assert await process.records.look_again(wanted[2]) is None


async def test_an_object_is_noted_once_and_found_as_it_was_noted(core: Core) -> None:
    process, job_id = core.process(), await core.submit("a")
    place = TaskId(job_id, 0)
    assert await process.records.note(place, stored_artifact("first"))
    assert not await process.records.note(place, stored_artifact("second"))
    row = await process.records.look_again(key(job_id, "a"))
    assert row is not None
    assert row.stored == stored_artifact("first")


async def test_answers_that_come_together_are_one_transaction(core: Core) -> None:
    process, job_id = core.process(), await core.submit("a", "b", "c", "d")
    later = datetime.now(UTC) + timedelta(hours=1)
    answers: list[Settlement] = [
        succeeded(job_id, 0),
        failed(job_id, 1),
        NoData(TaskId(job_id, 2), "0" * 32),
        PutBack(TaskId(job_id, 3), later, 2, hold_job=True),
    ]
    assert await asyncio.gather(*map(process.records.settle, answers)) == [True] * 4
    assert process.database.calls["run"] == 1
    assert process.settled == 4
    job = await core.job(job_id)
    assert (job.open, job.succeeded, job.failed, job.held_until) == (2, 1, 1, later)
    assert [each.attempts for each in await core.tasks(job_id)] == [0, 0, 0, 2]


async def test_a_task_has_one_outcome(core: Core) -> None:
    process, job_id = core.process(), await core.submit("a", "b")
    assert await process.records.settle(succeeded(job_id, 0))
    later = datetime.now(UTC)
    seconds: list[Settlement] = [
        failed(job_id, 0),
        NoData(TaskId(job_id, 0), "0" * 32),
        PutBack(TaskId(job_id, 0), later, 0),
    ]
    for second in seconds:
        assert not await process.records.settle(second)
    job = await core.job(job_id)
    assert (job.open, job.succeeded, job.failed) == (1, 1, 0)


async def test_nothing_but_success_is_recorded_where_an_object_is_stored(core: Core) -> None:
    process, job_id = core.process(), await core.submit("a")
    await process.records.note(TaskId(job_id, 0), stored_artifact())
    assert not await process.records.settle(failed(job_id, 0))
    assert not await process.records.settle(NoData(TaskId(job_id, 0), "0" * 32))
    assert await process.records.settle(succeeded(job_id, 0))


async def test_a_hold_lasts_until_the_latest_of_what_asked_for_it(core: Core) -> None:
    process, job_id = core.process(), await core.submit("a", "b", "c")
    now = datetime.now(UTC)
    times = [now + timedelta(hours=hours) for hours in (1, 3, 2)]
    puts = [PutBack(TaskId(job_id, place), time, 0, hold_job=True) for place, time in enumerate(times)]
    await asyncio.gather(*map(process.records.settle, puts))
    assert (await core.job(job_id)).held_until == times[1]


async def test_a_completed_job_is_logged_with_its_result(core: Core, caplog: pytest.LogCaptureFixture) -> None:
    process, job_id = core.process(), await core.submit("a", "b")
    with caplog.at_level(logging.INFO, "app.archiver.records"):
        await asyncio.gather(process.records.settle(succeeded(job_id, 0)), process.records.settle(failed(job_id, 1)))
    assert [record.getMessage() for record in caplog.records] == [
        "job completed: partially-succeeded, 1 succeeded, 1 failed"
    ]
    assert vars(caplog.records[0])["job_id"] == str(job_id)


async def test_a_job_that_is_gone_meanwhile_is_not_logged(core: Core, caplog: pytest.LogCaptureFixture) -> None:
    settled: list[int] = []
    records = Records(core.database, Readiness(()), HISTORY, settled.append)
    with caplog.at_level(logging.INFO):
        assert not await records.settle(succeeded(uuid4(), 0))
    assert (settled, caplog.records) == ([0], [])


HALF = FailureThreshold(share=0.5, min_tasks=4)


async def test_more_failures_than_the_threshold_pause_the_job_and_say_so(
    core: Core, caplog: pytest.LogCaptureFixture
) -> None:
    process, job_id = core.process(threshold=HALF), await core.submit(*map(str, range(9)))
    for place in range(3):
        await process.records.settle(failed(job_id, place))
    assert not (await core.job(job_id)).paused  # three are not enough to judge by
    await process.records.settle(failed(job_id, 3))
    job = await core.job(job_id)
    assert (job.paused, job.paused_by, job.failed) == (True, "failure-threshold", 4)
    (told,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert told.getMessage().startswith("job paused: more than 0.5 of its references failed")


async def test_failures_up_to_the_threshold_pause_nothing(core: Core) -> None:
    process, job_id = core.process(threshold=HALF), await core.submit(*map(str, range(9)))
    for place in range(8):
        await process.records.settle((failed if place % 2 else succeeded)(job_id, place))
    assert not (await core.job(job_id)).paused


async def test_after_a_resume_only_what_fails_from_then_on_is_judged(core: Core) -> None:
    process, job_id = core.process(threshold=HALF), await core.submit(*map(str, range(20)))
    for place in range(4):
        await process.records.settle(failed(job_id, place))
    await JobControl(core.database, HISTORY, core.on_due).resume(job_id, "Dora")
    for place in range(4, 7):
        await process.records.settle(failed(job_id, place))
    assert not (await core.job(job_id)).paused
    await process.records.settle(failed(job_id, 7))
    assert (await core.job(job_id)).paused


async def test_the_last_failure_of_a_job_ends_it_and_pauses_nothing(core: Core) -> None:
    process, job_id = core.process(threshold=HALF), await core.submit(*map(str, range(4)))
    await asyncio.gather(*(process.records.settle(failed(job_id, place)) for place in range(4)))
    job = await core.job(job_id)
    assert (job.state, job.paused) == ("completed", False)


async def test_without_a_threshold_no_job_pauses_itself(core: Core) -> None:
    process, job_id = core.process(), await core.submit(*map(str, range(9)))
    await asyncio.gather(*(process.records.settle(failed(job_id, place)) for place in range(8)))
    assert not (await core.job(job_id)).paused
