"""CreateArtifactCommand: one look-up for a poll, and for each open task work that asks again where it waited."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import pytest

from app.archiver.fetch import StillWanted
from app.archiver.pipeline import Archiver
from app.archiver.records import Records
from app.broker.messages import Publisher, create_artifact_command
from app.domain.artifacts import ArchiveTask
from app.domain.identity import reference_key, trace_id_of
from app.domain.jobs import JobKind, Reference, TaskId, TaskState
from app.domain.tasks import OwedTask, PutBack, TaskKey, TaskRow
from app.messaging import create_artifact as module
from app.messaging.create_artifact import STALE, ArchiveWork, CreateArtifactHandler
from app.messaging.dispatch import Acknowledged, DeadLetter, Received
from app.messaging.work import Free
from tests.support.rows import stored_artifact

NOW = datetime.now(UTC)
JOB = uuid4()
COMMANDS_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def row(position: int = 0, **changes: Any) -> TaskRow:
    values: dict[str, Any] = {
        "id": TaskId(JOB, position),
        "state": TaskState.OPEN,
        "attempts": 0,
        "stored": None,
        "message": "M",
        "topic": "t",
        "config_id": "c",
        "num_of_retry": None,
        "job_started": NOW,
        "paused": False,
        "kind": JobKind.BACKFILL,
    }
    return TaskRow(**{**values, **changes})


class Tasks:
    """In the place of the records: tasks by reference id."""

    def __init__(self, **rows: TaskRow) -> None:
        self.rows = {key_of(reference): each for reference, each in rows.items()}
        self.look_ups: list[int] = []
        self.looked_again = 0
        self.put_back: list[PutBack] = []

    async def look_up(self, keys: list[TaskKey]) -> dict[TaskKey, TaskRow]:
        self.look_ups.append(len(keys))
        return {key: self.rows[key] for key in keys if key in self.rows}

    async def look_again(self, key: TaskKey) -> TaskRow | None:
        self.looked_again += 1
        return self.rows.get(key)

    async def settle(self, put_back: PutBack) -> bool:
        self.put_back.append(put_back)
        return True

    def set(self, reference: str, new: TaskRow | None) -> None:
        if new is None:
            del self.rows[key_of(reference)]
        else:
            self.rows[key_of(reference)] = new


class Archived:
    """In the place of the archiver: notes what it is asked for; `wanted` are the answers to `still_wanted`."""

    def __init__(self) -> None:
        self.tasks: list[ArchiveTask] = []
        self.ask: StillWanted | None = None

    async def archive(self, task: ArchiveTask, on_stored: Free, still_wanted: StillWanted) -> None:
        self.tasks.append(task)
        self.ask = still_wanted
        on_stored()


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 100.0
        monkeypatch.setattr(module, "monotonic", lambda: self.seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def key_of(reference: str) -> TaskKey:
    return TaskKey(JOB, UUID(bytes=reference_key(Reference(reference))))


def command(reference: str) -> Received:
    owed = OwedTask(JOB, 0, key_of(reference).reference_key, Reference(reference), "M", "t")
    message = create_artifact_command(owed, Publisher("psf", "pas"), NOW, uuid4())
    return Received(message, COMMANDS_TRACE)


def handler_of(tasks: Tasks, archived: Archived | None = None) -> CreateArtifactHandler:
    steps = cast("Archiver", archived or Archived())
    return CreateArtifactHandler(cast("Records", tasks), steps, lambda row: f"source of {row.message}", 3)


async def work_of(tasks: Tasks, archived: Archived | None = None) -> ArchiveWork:
    [work] = await handler_of(tasks, archived).receive([command("a")])
    assert isinstance(work, ArchiveWork)
    return work


def no_slot() -> None: ...


async def test_the_tasks_of_a_poll_are_looked_up_at_once_and_answered_in_order() -> None:
    tasks = Tasks(open=row(0), done=row(1, state=TaskState.SUCCEEDED), failed=row(2, state=TaskState.FAILED))
    names = ["open", "done", "unknown", "failed"]
    answers = await handler_of(tasks).receive([command(name) for name in names])
    assert [type(answer) for answer in answers] == [ArchiveWork, Acknowledged, DeadLetter, Acknowledged]
    assert answers[2] == DeadLetter("no such job or task")
    assert tasks.look_ups == [4]


async def test_what_is_not_a_command_is_a_dead_letter_and_costs_no_look_up() -> None:
    tasks = Tasks()
    broken = Received({"type": {"name": "CreateArtifactCommand"}}, None)
    half = command("a")
    cast("dict[str, Any]", half.message)["references"]["archiveData"]["referenceId"] = "\ud800"
    answers = await handler_of(tasks).receive([broken, half])
    assert answers == [
        DeadLetter("identity is missing"),
        DeadLetter("references.archiveData.referenceId is not valid Unicode"),
    ]
    assert tasks.look_ups == []


async def test_work_is_of_the_lane_of_its_source_and_of_the_turn_of_its_job() -> None:
    work = await work_of(Tasks(a=row()))
    assert (work.lane, work.turn) == ("source of M", JOB)
    assert work.can_be_put_back
    assert not work.is_void


async def test_the_archiver_gets_the_task_with_what_its_job_says() -> None:
    archived = Archived()
    await (await work_of(Tasks(a=row(attempts=1, stored=stored_artifact())), archived)).run(no_slot)
    [task] = archived.tasks
    assert (task.id, task.reference, task.attempts, task.max_attempts) == (TaskId(JOB, 0), Reference("a"), 1, 3)
    assert task.stored == stored_artifact()
    assert task.trace_id == trace_id_of(JOB, reference_key(Reference("a")))
    assert task.traceparent == COMMANDS_TRACE


@pytest.mark.parametrize(("num_of_retry", "most"), [(None, 3), (0, 1), (5, 6)])
async def test_the_attempts_of_a_job_go_before_those_of_the_settings(num_of_retry: int | None, most: int) -> None:
    archived = Archived()
    await (await work_of(Tasks(a=row(num_of_retry=num_of_retry)), archived)).run(no_slot)
    assert archived.tasks[0].max_attempts == most


async def test_work_that_starts_soon_is_not_looked_up_again(clock: Clock) -> None:
    tasks, archived = Tasks(a=row()), Archived()
    work = await work_of(tasks, archived)
    clock.seconds += STALE
    await work.run(no_slot)
    assert (tasks.looked_again, len(archived.tasks)) == (0, 1)


@pytest.mark.parametrize("now", [row(state=TaskState.FAILED), None])
async def test_work_that_waited_is_dropped_where_its_task_is_done_or_gone(clock: Clock, now: TaskRow | None) -> None:
    tasks, archived = Tasks(a=row()), Archived()
    work = await work_of(tasks, archived)
    tasks.set("a", now)
    clock.seconds += STALE + 0.1
    await work.run(no_slot)
    assert tasks.looked_again == 1
    assert (archived.tasks, tasks.put_back) == ([], [])


async def test_work_that_waited_is_put_back_where_its_job_was_paused_and_the_job_is_not_held(clock: Clock) -> None:
    tasks, archived = Tasks(a=row()), Archived()
    work = await work_of(tasks, archived)
    tasks.set("a", row(paused=True, attempts=2))
    clock.seconds += STALE + 0.1
    await work.run(no_slot)
    assert archived.tasks == []
    [put_back] = tasks.put_back
    assert (put_back.id, put_back.attempts, put_back.hold_job) == (TaskId(JOB, 0), 2, False)
    assert put_back.not_before <= datetime.now(UTC)


async def test_a_pause_that_has_ended_meanwhile_holds_nothing_back(clock: Clock) -> None:
    tasks, archived = Tasks(a=row(paused=True)), Archived()
    work = await work_of(tasks, archived)
    tasks.set("a", row())
    await work.run(no_slot)
    assert tasks.looked_again == 1, "a paused job is looked at again, however fresh the look-up is"
    assert len(archived.tasks) == 1


async def test_the_archiver_may_ask_again_after_a_wait(clock: Clock) -> None:
    tasks, archived = Tasks(a=row()), Archived()
    await (await work_of(tasks, archived)).run(no_slot)
    assert archived.ask is not None
    assert await archived.ask()
    tasks.set("a", row(paused=True))
    assert await archived.ask(), "what was looked up a moment ago is believed"
    clock.seconds += STALE + 0.1
    assert not await archived.ask()
    tasks.set("a", row())
    assert await archived.ask(), "while its job is paused, a task is looked up each time"
    looked_again = tasks.looked_again
    clock.seconds += STALE
    assert await archived.ask()
    assert tasks.looked_again == looked_again


async def test_work_that_was_not_started_is_put_back_for_a_time_and_the_rest_of_its_job_with_it() -> None:
    tasks = Tasks(a=row(attempts=1))
    await (await work_of(tasks)).put_back(30)
    [put_back] = tasks.put_back
    assert (put_back.attempts, put_back.hold_job) == (1, True)
    left = put_back.not_before - datetime.now(UTC)
    assert timedelta(seconds=20) < left <= timedelta(seconds=30)
