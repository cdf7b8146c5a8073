"""Who waits for an earlier message about the same reference comes as soon as that is done, in order."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import pytest

from app.archiver.records import Records
from app.domain.jobs import JobKind, Reference, TaskId, TaskState
from app.domain.live_tasks import Origin
from app.domain.tasks import PutBack, TaskKey, TaskRow
from app.messaging import earlier_first as module
from app.messaging.earlier_first import EarlierFirst

JOB = UUID("6f9619ff-8b86-4011-b42d-00c04fc964ff")
STARTED = datetime(2026, 11, 30, tzinfo=UTC)


def row(position: int, reference: str = "r", *, is_behind: bool = True, **changes: Any) -> TaskRow:
    origin = Origin(UUID(int=position), Reference(reference), f"m{position}")
    values: dict[str, Any] = {
        "id": TaskId(JOB, position),
        "state": TaskState.OPEN,
        "attempts": 1,
        "stored": None,
        "message": "M",
        "topic": "t",
        "config_id": None,
        "num_of_retry": None,
        "job_started": STARTED,
        "paused": False,
        "kind": JobKind.LIVE,
        "origin": origin,
        "is_behind": is_behind,
    }
    return TaskRow(**{**values, **changes})


class Desk:
    """In the place of the records: notes what is put back; who is looked at again is as `rows` says."""

    def __init__(self) -> None:
        self.rows: dict[TaskKey, TaskRow] = {}
        self.put_back: list[tuple[int, float]] = []
        self.due = 0
        self.order = EarlierFirst(cast("Records", self), self._on_due)

    def _on_due(self) -> None:
        self.due += 1

    async def settle(self, put_back: PutBack) -> bool:
        seconds = (put_back.not_before - datetime.now(UTC)).total_seconds()
        self.put_back.append((put_back.id.position, round(seconds)))
        return True

    async def look_again(self, key: TaskKey) -> TaskRow | None:
        return self.rows.get(key)

    async def wait(self, *rows: TaskRow) -> None:
        for each in rows:
            self.rows[TaskKey(JOB, UUID(int=each.id.position))] = each
            await self.order.wait(each)


async def test_the_first_that_waits_comes_at_once_when_the_earlier_one_has_ended() -> None:
    desk = Desk()
    await desk.wait(row(3), row(2), row(5, "other"))
    assert (desk.put_back, desk.due) == ([(3, 1), (2, 1), (5, 1)], 0)
    await desk.order.ended(row(1, is_behind=False))
    assert (desk.put_back[3:], desk.due) == ([(2, 0)], 1)
    await desk.order.ended(row(2, is_behind=False))
    assert (desk.put_back[4:], desk.due) == ([(3, 0)], 2)
    await desk.order.ended(row(3, is_behind=False))
    assert desk.due == 2
    assert len(desk.order._waiting) == 1, "who waits for the other reference still does"


async def test_those_of_yesterday_come_first() -> None:
    desk = Desk()
    await desk.wait(row(1), row(7, job_started=STARTED - timedelta(days=1)))
    await desk.order.ended(row(0, job_started=STARTED - timedelta(days=1)))
    assert desk.put_back[-1] == (7, 0)


async def test_the_earlier_one_that_ended_meanwhile_holds_nobody_up() -> None:
    desk = Desk()
    desk.rows[TaskKey(JOB, UUID(int=2))] = row(2, is_behind=False)
    await desk.order.wait(row(2))
    assert (desk.put_back, desk.due) == ([(2, 1), (2, 0)], 1)


async def test_who_came_by_itself_and_tasks_of_a_backfill_wake_nobody() -> None:
    desk = Desk()
    await desk.wait(row(2))
    await desk.order.ended(row(2, is_behind=False))
    await desk.order.ended(row(9, origin=None))
    assert desk.due == 0
    assert not desk.order._waiting


async def test_where_many_wait_they_are_looked_at_less_often_and_too_many_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk()
    await desk.wait(*(row(number) for number in range(1, 401)))
    seconds = [each for _, each in desk.put_back]
    assert (seconds[0], seconds[99], seconds[399]) == (1, 10, 30)
    monkeypatch.setattr(module, "WAITED_FOR", 1)
    await desk.wait(row(500, "other"))
    await desk.order.ended(row(0))
    assert desk.due == 0
