"""The end of the tasks of messages: their documents are deleted once nobody needs them. No query commits."""

from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import and_, exists, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.tables import UNENDED, job, live_task, task
from app.domain.jobs import JobKind, TaskState

KEPT = timedelta(days=30)
"""How long the document of a failed task is kept, so that a retry has it; from the end of the last retry on."""

AT_ONCE = 1_000
"""Rows that one transaction changes."""


class State(StrEnum):
    """Of a row of `live_task`: open, until its end was seen; failed, while its document is kept; then ended."""

    OPEN = "open"
    FAILED = "failed"
    ENDED = "ended"


async def end(connection: AsyncConnection) -> int:
    """Deletes the documents of tasks that succeeded, and marks those that failed; returns how many tasks ended."""
    ended = (
        select(live_task.c.key, task.c.state)
        .join(task, and_(task.c.job_id == live_task.c.job_id, task.c.position == live_task.c.position))
        .where(text(f"live_task.{UNENDED}"), task.c.state != TaskState.OPEN)
        .limit(AT_ONCE)
        .with_for_update(of=live_task, skip_locked=True)
    )
    found = (await connection.execute(ended)).all()
    succeeded = [key for key, state in found if state == TaskState.SUCCEEDED]
    failed = [key for key, state in found if state == TaskState.FAILED]
    if succeeded:
        await _forget(connection, succeeded)
    if failed:
        await connection.execute(update(live_task).where(live_task.c.key.in_(failed)).values(state=State.FAILED))
    return len(found)


async def forget_failed(connection: AsyncConnection, now: datetime) -> int:
    """Deletes the documents of failed tasks that a retry archived, and of those that failed long ago, their retries
    too."""
    since = now - KEPT
    again, retried = task.alias("again"), job.alias("retried")
    retry = exists().where(
        retried.c.retry_of.is_not(None),
        retried.c.kind == JobKind.LIVE,
        again.c.job_id == retried.c.id,
        again.c.reference_key == live_task.c.key,
    )
    archived = retry.where(again.c.state == TaskState.SUCCEEDED)
    needed = retry.where(or_(again.c.state == TaskState.OPEN, again.c.finished_at >= since))
    over = (
        select(live_task.c.key)
        .join(task, and_(task.c.job_id == live_task.c.job_id, task.c.position == live_task.c.position))
        .where(text("live_task.state = 'failed'"), or_(archived, and_(task.c.finished_at < since, ~needed)))
        .limit(AT_ONCE)
        .with_for_update(of=live_task, skip_locked=True)
    )
    keys = list((await connection.execute(over)).scalars())
    if keys:
        await _forget(connection, keys)
    return len(keys)


async def _forget(connection: AsyncConnection, keys: list[object]) -> None:
    await connection.execute(update(live_task).where(live_task.c.key.in_(keys)).values(state=State.ENDED, payload=None))


async def size(connection: AsyncConnection) -> int:
    """Bytes of the documents that are kept."""
    kept = or_(text(UNENDED), text("state = 'failed'"))
    statement = select(func.coalesce(func.sum(live_task.c.size), 0)).where(kept)
    return int((await connection.execute(statement)).scalar_one())
