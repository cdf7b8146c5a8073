"""Tasks of messages that wait for an earlier message about the same reference: the next one comes as soon as it may."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from app.archiver.records import Records
from app.domain.jobs import Reference, TaskState
from app.domain.tasks import PutBack, TaskKey, TaskRow

LONGEST = 30.0
"""Seconds until a task that waits is looked at again by itself."""

WAITED_FOR = 10_000
"""References of which this process knows the tasks that wait; with more they are forgotten, and come by themselves."""

Subject = tuple[str, str | None, Reference]


class EarlierFirst:
    """The commands of one reference are in one partition: the process that ends a task mostly knows who waits for it.

    Others are found by the time alone: a task that waits is put back for a second, for more where many wait.
    """

    def __init__(self, records: Records, on_due: Callable[[], None]) -> None:
        """`on_due` is called when a command is due at once."""
        self._records = records
        self._on_due = on_due
        self._waiting: dict[Subject, dict[TaskKey, TaskRow]] = {}

    async def wait(self, row: TaskRow) -> None:
        """Puts the task back."""
        assert row.origin is not None  # noqa: S101 # only tasks of messages wait
        key = TaskKey(row.id.job_id, row.origin.key)
        if len(self._waiting) >= WAITED_FOR:
            self._waiting.clear()
        waiting = self._waiting.setdefault(_subject(row), {})
        waiting[key] = row
        seconds = min(LONGEST, max(1.0, len(waiting) / 10))
        await self._records.settle(PutBack(row.id, datetime.now(UTC) + timedelta(seconds=seconds), row.attempts))
        # The earlier task may have ended just before, and did not find this one.
        now = await self._records.look_again(key)
        if now is not None and now.state is TaskState.OPEN and not now.is_behind:
            await self._wake(row, key)

    async def ended(self, row: TaskRow) -> None:
        """The work on a task has ended: the next one of its reference that waits comes at once."""
        if row.origin is None:
            return
        subject = _subject(row)
        waiting = self._waiting.get(subject)
        if waiting is None:
            return
        waiting.pop(TaskKey(row.id.job_id, row.origin.key), None)
        if waiting:
            key, following = min(waiting.items(), key=lambda item: (item[1].job_started, item[1].id.position))
            await self._wake(following, key)
        if not waiting:
            self._waiting.pop(subject, None)

    async def _wake(self, row: TaskRow, key: TaskKey) -> None:
        self._waiting.get(_subject(row), {}).pop(key, None)
        await self._records.settle(PutBack(row.id, datetime.now(UTC), row.attempts))
        self._on_due()


def _subject(row: TaskRow) -> Subject:
    assert row.origin is not None  # noqa: S101
    return row.message, row.config_id, row.origin.reference
