"""Pause, resume, cancel and redrive: what they do to a job and its tasks, and when each of them is impossible."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from app.db import tasks, waiting
from app.db.tables import job_progress
from app.domain.errors import NoArchiveData, PermanentFailure
from app.domain.jobs import FailureThreshold, JobFilter, JobKind, JobResult, JobState, TaskId, TaskState
from app.domain.waiting import Waiting, WaitingFor
from app.jobs.control import ImpossibleForJob, JobControl, JobStatus, UnknownJob
from app.sources.pacing import SourceBusy
from tests.support.core import HISTORY, Core
from tests.support.rows import change_job, publish, stored_artifact

STEERS = ("pause", "resume", "cancel")


async def steer(core: Core, what: str, job_id: UUID) -> JobStatus:
    control: Any = JobControl(core.database, HISTORY, core.on_due)
    if what == "view":
        view: JobStatus = await control.view(job_id)
    else:
        view = await getattr(control, what)(job_id, "Dora")
    return view


async def half_done(core: Core) -> UUID:
    """A job of which one task succeeded, one failed, one has no data yet, and one was put back with its job held."""
    job_id = await core.submit("good", "bad", "none", "busy")
    core.source.answers("bad", PermanentFailure("no"))
    core.source.answers("none", NoArchiveData())
    core.source.answers("busy", SourceBusy(600, "it rests"))
    await core.archive(job_id)
    core.due = 0
    return job_id


@pytest.mark.parametrize("what", [*STEERS, "redrive", "view"])
async def test_an_unknown_job_is_unknown(core: Core, what: str) -> None:
    with pytest.raises(UnknownJob):
        await steer(core, what, uuid4())
    assert core.due == 0


@pytest.mark.parametrize("what", STEERS)
async def test_a_job_that_has_ended_cannot_be_steered(core: Core, what: str) -> None:
    job_id = await core.submit("a")
    await core.archive(job_id)
    with pytest.raises(ImpossibleForJob, match="the job has ended"):
        await steer(core, what, job_id)


async def test_what_is_cancelled_cannot_be_cancelled_again_though_a_stored_reference_is_still_announced(
    core: Core,
) -> None:
    job_id = await core.submit("stored", "open")
    note = [(TaskId(job_id, 0), stored_artifact())]
    await core.database.run(lambda c: tasks.note(c, note))
    control = JobControl(core.database, HISTORY, core.on_due)
    first = await control.cancel(job_id, "Erik")
    assert (first.job.state, first.job.open, first.job.failed) == (JobState.OPEN, 1, 1)
    with pytest.raises(ImpossibleForJob, match="the job is cancelled already"):
        await control.cancel(job_id, "Dora")
    view = await control.view(job_id)
    assert (view.job.cancelled_by, view.job.cancelled_at) == ("Erik", first.job.cancelled_at)
    assert [(each.what, each.by) for each in view.actions] == [("cancelled", "Erik")]


async def test_what_is_paused_cannot_be_paused_and_what_is_not_cannot_be_resumed(core: Core) -> None:
    job_id = await core.submit("a")
    with pytest.raises(ImpossibleForJob, match="is not paused"):
        await steer(core, "resume", job_id)
    await steer(core, "pause", job_id)
    with pytest.raises(ImpossibleForJob, match="is paused already"):
        await steer(core, "pause", job_id)
    await steer(core, "resume", job_id)
    with pytest.raises(ImpossibleForJob, match="is not paused"):
        await steer(core, "resume", job_id)


async def test_a_paused_job_is_not_published_and_a_resumed_one_is(core: Core) -> None:
    job_id = await core.submit("a", "b")
    view = await steer(core, "pause", job_id)
    assert (view.job.paused, view.job.paused_by, view.job.open) == (True, "Dora", 2)
    assert view.job.paused_at is not None
    soon = datetime.now(UTC) + timedelta(seconds=1)
    assert await publish(core.database, now=soon, lease=soon + timedelta(seconds=30)) == []
    assert core.due == 1
    view = await steer(core, "resume", job_id)
    assert (view.job.paused, view.job.paused_by, view.job.paused_at, core.due) == (False, None, None, 2)
    assert len(await publish(core.database, now=soon, lease=soon + timedelta(seconds=30))) == 2


async def test_the_seconds_of_all_pauses_are_summed_up(core: Core) -> None:
    job_id = await core.submit("a")
    summed = []
    for seconds in (60, 30):
        await steer(core, "pause", job_id)
        await change_job(core.database, job_id, paused_at=datetime.now(UTC) - timedelta(seconds=seconds))
        summed.append((await steer(core, "resume", job_id)).job.paused_seconds)
    assert 60 <= summed[0] < 90 <= summed[1] < 120


async def test_a_clock_that_went_back_makes_no_pause_negative(core: Core) -> None:
    job_id = await core.submit("a")
    await steer(core, "pause", job_id)
    await change_job(core.database, job_id, paused_at=datetime.now(UTC) + timedelta(hours=1))
    assert (await steer(core, "resume", job_id)).job.paused_seconds == 0


async def test_a_cancel_fails_what_is_open_and_ends_the_job(core: Core) -> None:
    job_id = await half_done(core)
    view = await steer(core, "cancel", job_id)
    job = view.job
    assert (job.state, job.result) == (JobState.COMPLETED, JobResult.PARTIALLY_SUCCEEDED)
    assert (job.open, job.succeeded, job.failed, job.cancelled) == (0, 1, 3, 2)
    assert job.completed is not None
    good, bad, *cancelled = await core.tasks(job_id)
    assert (good.state, bad.message) == (TaskState.SUCCEEDED, "no")
    assert {each.message for each in cancelled} == {"cancelled by Dora"}
    assert view.without_data == 0


async def test_a_cancel_of_a_job_in_which_nothing_succeeded_has_failed(core: Core) -> None:
    assert (await steer(core, "cancel", await core.submit("a", "b"))).job.result is JobResult.FAILED


async def test_a_cancel_ends_a_pause_and_a_hold(core: Core) -> None:
    job_id = await half_done(core)
    await steer(core, "pause", job_id)
    assert (await core.job(job_id)).held_until is not None
    job = (await steer(core, "cancel", job_id)).job
    assert (job.paused, job.paused_at, (await core.job(job_id)).held_until) == (False, None, None)


async def test_what_is_stored_stays_open_after_a_cancel_and_can_only_succeed(core: Core) -> None:
    job_id = await core.submit("stored", "open")
    await core.process().records.note(TaskId(job_id, 0), stored_artifact())
    job = (await steer(core, "cancel", job_id)).job
    assert (job.state, job.open, job.failed, job.cancelled) == (JobState.OPEN, 1, 1, 1)
    assert [each.state for each in await core.tasks(job_id)] == [TaskState.OPEN, TaskState.FAILED]
    await core.archive(job_id)
    assert (await steer(core, "view", job_id)).job.result is JobResult.PARTIALLY_SUCCEEDED
    assert len(core.events()) == 1


async def test_the_name_of_who_cancels_is_one_line(core: Core) -> None:
    job_id = await core.submit("a")
    await JobControl(core.database, HISTORY, core.on_due).cancel(job_id, "Dora\nDeveloper  II")
    assert (await core.task(job_id)).message == "cancelled by Dora Developer II"


async def test_a_redrive_makes_all_open_tasks_due_those_without_data_too(core: Core) -> None:
    job_id = await half_done(core)
    view = await steer(core, "redrive", job_id)
    assert (view.job.open, core.due, (await core.job(job_id)).held_until) == (2, 1, None)
    good, bad, *owed = await core.tasks(job_id)
    assert (good.state, bad.state) == (TaskState.SUCCEEDED, TaskState.FAILED)
    assert {(each.published_at, each.not_before, each.answered, each.attempts) for each in owed} == {
        (None, None, False, 0)
    }
    now = datetime.now(UTC)
    assert len(await publish(core.database, now=now, lease=now + timedelta(seconds=30))) == 2


async def test_a_redrive_of_a_job_that_has_ended_does_nothing(core: Core) -> None:
    job_id = await core.submit("a")
    await core.archive(job_id)
    before = await core.task(job_id)
    assert (await steer(core, "redrive", job_id)).job.state is JobState.COMPLETED
    assert await core.task(job_id) == before


async def test_a_view_counts_what_has_no_data_and_estimates_the_rest(core: Core) -> None:
    job_id = await half_done(core)
    now = datetime.now(UTC)
    await change_job(core.database, job_id, started=now - timedelta(seconds=20), last_settled=now)
    view = await steer(core, "view", job_id)
    assert (view.without_data, view.without_data_at is not None) == (1, True)
    assert view.rate == pytest.approx(0.1)
    assert view.estimated_end is not None
    assert 9 < (view.estimated_end - now).total_seconds() < 60
    paused = await steer(core, "pause", job_id)
    assert (paused.estimated_end, paused.rate) == (None, view.rate)


async def test_nothing_is_estimated_before_anything_is_done_and_after_the_end(core: Core) -> None:
    job_id = await core.submit("a")
    view = await steer(core, "view", job_id)
    assert (view.rate, view.estimated_end) == (None, None)
    await core.archive(job_id)
    view = await steer(core, "view", job_id)
    assert view.rate is not None
    assert view.estimated_end is None


async def test_the_rate_is_that_of_the_last_minute_and_0_once_nothing_moves(core: Core) -> None:
    job_id = await half_done(core)
    now = datetime.now(UTC)
    await change_job(core.database, job_id, started=now - timedelta(hours=1), succeeded=5001, total=5004)
    view = await steer(core, "view", job_id)
    assert view.rate == pytest.approx(2 / 60, abs=0.001)
    assert view.estimated_end is not None
    assert 25 < (view.estimated_end - now).total_seconds() < 40
    await core.database.run(lambda c: c.execute(update(job_progress).values(slot=job_progress.c.slot - 20)))
    view = await steer(core, "view", job_id)
    assert (view.rate, view.estimated_end) == (0, None)


async def test_nothing_is_estimated_while_a_job_waits(core: Core) -> None:
    job_id = await half_done(core)
    what = Waiting(WaitingFor.SOURCE, "DocCreated", datetime.now(UTC), "connection refused", None)
    await core.database.run(lambda c: waiting.begin(c, [job_id], what))
    view = await steer(core, "view", job_id)
    assert (view.job.waiting, view.estimated_end) == (what, None)
    assert view.rate
    assert (await JobControl(core.database, HISTORY, core.on_due).page(None, 1, JobFilter()))[0][0].job.waiting == what


async def test_a_completed_job_has_the_rate_of_its_whole_run_without_the_pauses(core: Core) -> None:
    job_id = await half_done(core)
    await steer(core, "cancel", job_id)
    now = datetime.now(UTC)
    times = {"started": now - timedelta(seconds=120), "last_settled": now, "paused_seconds": 100.0}
    await change_job(core.database, job_id, **times)
    assert (await steer(core, "view", job_id)).rate == pytest.approx(0.1)


async def test_a_cancelled_reference_counts_towards_no_rate(core: Core) -> None:
    job_id = await half_done(core)
    await steer(core, "cancel", job_id)
    now = datetime.now(UTC)
    await change_job(core.database, job_id, started=now - timedelta(seconds=20), last_settled=now)
    assert (await steer(core, "view", job_id)).rate == pytest.approx(0.1)


async def test_jobs_are_listed_newest_first_in_pages(core: Core) -> None:
    control = JobControl(core.database, HISTORY, core.on_due)
    ids = [await core.submit(str(number)) for number in range(5)]
    start = datetime(2026, 5, 8, tzinfo=UTC)
    for number, job_id in enumerate(ids):
        await change_job(core.database, job_id, started=start + timedelta(minutes=number))
    first, more = await control.page(None, 2, JobFilter())
    assert ([each.job.id for each in first], more) == ([ids[4], ids[3]], True)
    last = first[-1].job
    rest, more = await control.page((last.started, last.id), 3, JobFilter())
    assert ([each.job.id for each in rest], more) == ([ids[2], ids[1], ids[0]], False)


async def test_jobs_are_listed_by_state_and_message(core: Core) -> None:
    control = JobControl(core.database, HISTORY, core.on_due)
    done, running = await core.submit("a"), await core.submit("b")
    await core.archive(done)
    for state, expected in ((JobState.COMPLETED, [done]), (JobState.OPEN, [running])):
        found, _ = await control.page(None, 10, JobFilter(state=state, message="DocCreated"))
        assert [each.job.id for each in found] == expected
    assert await control.page(None, 10, JobFilter(message="Other")) == ([], False)


async def test_what_is_done_to_a_job_is_kept_with_who_and_when(core: Core) -> None:
    control, job_id, before = JobControl(core.database, HISTORY, core.on_due), await core.submit("a"), datetime.now(UTC)
    await control.pause(job_id, "Dora")
    await control.resume(job_id, "Erik")
    await control.redrive(job_id, "Dora")
    view = await control.cancel(job_id, "Erik")
    assert [(each.what, each.by) for each in view.actions] == [
        ("paused", "Dora"),
        ("resumed", "Erik"),
        ("redriven", "Dora"),
        ("cancelled", "Erik"),
    ]
    times = [each.at for each in view.actions]
    assert times == sorted(times)
    assert before <= times[0]
    assert view.job.cancelled_by == "Erik"
    assert view.job.cancelled_at is not None
    assert before <= view.job.cancelled_at <= datetime.now(UTC)
    assert (await control.page(None, 10, JobFilter()))[0] == [view]


async def test_nothing_is_kept_of_what_did_not_happen(core: Core) -> None:
    job_id = await core.submit("a")
    await core.archive(job_id)
    control = JobControl(core.database, HISTORY, core.on_due)
    with pytest.raises(ImpossibleForJob):
        await control.cancel(job_id, "Erik")
    view = await control.redrive(job_id, "Dora")
    assert (list(view.actions), view.job.cancelled_by, view.job.cancelled_at) == ([], None, None)


async def test_a_job_that_paused_itself_says_so_among_its_actions(core: Core) -> None:
    job_id = await core.submit("a", "b")
    core.source.answers("a", PermanentFailure("no"))
    process = core.process(threshold=FailureThreshold(0.5, 1))
    await process.run((await process.take(job_id))[0])
    view = await JobControl(core.database, HISTORY, core.on_due).view(job_id)
    assert [(each.what, each.by) for each in view.actions] == [("paused", "failure-threshold")]


async def test_jobs_are_listed_by_result_and_who_started_them(core: Core) -> None:
    control = JobControl(core.database, HISTORY, core.on_due)
    jobs = {}
    for result, references in {"succeeded": "a", "failed": "b", "partially-succeeded": "ab", None: "a"}.items():
        jobs[result] = await core.submit(*references)
        core.source.answers("b", PermanentFailure("no"))
        if result is not None:
            await core.archive(jobs[result])

    async def listed(**wanted: Any) -> set[UUID]:
        return {view.job.id for view in (await control.page(None, 10, JobFilter(**wanted)))[0]}

    for result in JobResult:
        assert await listed(result=result) == {jobs[result]}
    for name in ("Dora", "0042", "dora"):
        assert await listed(started_by=name) == set(jobs.values())
    assert await listed(started_by="Dor") == set()
    assert await listed(kind=JobKind.BACKFILL) == set(jobs.values())
    assert await listed(kind=JobKind.LIVE) == set()


async def test_jobs_are_listed_by_what_they_wait_for(core: Core) -> None:
    control = JobControl(core.database, HISTORY, core.on_due)
    waits, runs, paused = [await core.submit(name) for name in "abc"]
    fact = {"waiting_for": "source", "waiting_name": "x", "waiting_since": datetime.now(UTC), "waiting_reason": "r"}
    await change_job(core.database, waits, **fact)
    await change_job(core.database, paused, paused=True, **fact)

    async def listed(waiting: Any) -> set[UUID]:
        return {view.job.id for view in (await control.page(None, 10, JobFilter(waiting=waiting)))[0]}

    assert await listed(True) == await listed(WaitingFor.SOURCE) == {waits}
    assert await listed(False) == {runs, paused}
    assert await listed(WaitingFor.BROKER) == set()
