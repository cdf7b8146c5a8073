"""Queries on jobs. None commits: the caller's transaction is the unit."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import dialect
from app.db.tables import NO_DATA, job, task
from app.domain.identity import reference_key
from app.domain.jobs import Job, JobState, References, TaskState


async def insert_if_absent(connection: AsyncConnection, new: Job) -> bool:
    """False where a job of this id is already there: identical submissions that race meet here, on the primary key."""
    statement = (
        dialect.insert(connection, job)
        .values(
            id=new.id,
            message=new.message,
            topic=new.topic,
            config_id=new.config_id,
            resolved_config_id=new.resolved_config_id,
            content_hash=new.content_hash,
            num_of_retry=new.num_of_retry,
            state=new.state,
            started=new.started,
            started_by_name=new.started_by_name,
            started_by_ext_id=new.started_by_ext_id,
            traceparent=new.traceparent,
            total=new.total,
            open=new.open,
        )
        .on_conflict_do_nothing(index_elements=[job.c.id])
        .returning(job.c.id)
    )
    return (await connection.execute(statement)).first() is not None


async def insert_tasks(connection: AsyncConnection, job_id: UUID, references: References) -> None:
    """One open task per reference, in order."""
    columns = ["job_id", "position", "reference_key", "reference_id", "reference_version"]
    records = (
        (job_id, position, UUID(bytes=reference_key(reference)), reference.id, reference.version)
        for position, reference in enumerate(references)
    )
    await dialect.insert_many(connection, task, columns, records)
    await dialect.refresh_statistics(connection, task, len(references))


async def find(connection: AsyncConnection, job_id: UUID) -> Job | None:
    row = (await connection.execute(select(job).where(job.c.id == job_id))).first()
    return None if row is None else as_job(row)


async def redrive(connection: AsyncConnection, job_id: UUID) -> int:
    """Makes the commands of all open tasks due again; returns how many."""
    await connection.execute(update(job).where(job.c.id == job_id).values(held_until=None))
    due = (
        update(task)
        .where(task.c.job_id == job_id, task.c.state == TaskState.OPEN)
        .values(published_at=None, claimed_until=None, not_before=None, answered=False, attempts=0)
    )
    return (await connection.execute(due)).rowcount


async def count_without_data(connection: AsyncConnection, job_id: UUID) -> tuple[int, datetime | None]:
    """Open tasks whose source had no data when last asked, and when that was last."""
    statement = select(func.count(), func.max(task.c.no_data_at)).where(task.c.job_id == job_id, text(NO_DATA))
    count, last = (await connection.execute(statement)).one()
    return count, last


def as_job(row: Row[tuple[object, ...]]) -> Job:
    values = row._mapping
    return Job(
        id=values["id"],
        message=values["message"],
        topic=values["topic"],
        config_id=values["config_id"],
        resolved_config_id=values["resolved_config_id"],
        num_of_retry=values["num_of_retry"],
        state=JobState(values["state"]),
        started=values["started"],
        completed=values["completed"],
        started_by_name=values["started_by_name"],
        started_by_ext_id=values["started_by_ext_id"],
        total=values["total"],
        open=values["open"],
        succeeded=values["succeeded"],
        failed=values["failed"],
        last_settled=values["last_settled"],
        paused=values["paused"],
        traceparent=values["traceparent"],
        content_hash=values["content_hash"],
    )
