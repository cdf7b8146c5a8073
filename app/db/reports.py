"""Pages of a job's tasks in the order of submission, read by key: no transaction stays open between two pages."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.failures import trace_id_of_failed
from app.db.jobs import as_job
from app.db.tables import job, task
from app.domain.jobs import Job, Reference, ReportedTask, TaskState


async def page(
    connection: AsyncConnection, job_id: UUID, after: int, limit: int, state: TaskState | None
) -> list[ReportedTask]:
    """Up to `limit` tasks after position `after` (−1 for the first page); with `state` only tasks in this state."""
    return [found for _, found in await keyed_page(connection, job_id, after, limit, state)]


async def keyed_page(
    connection: AsyncConnection, job_id: UUID, after: int, limit: int, state: TaskState | None
) -> list[tuple[UUID, ReportedTask]]:
    """The same tasks, each with its `reference_key`, which is the same in every job."""
    statement = (
        select(
            task.c.reference_key,
            task.c.position,
            task.c.reference_id,
            task.c.reference_version,
            task.c.state,
            task.c.message,
            task.c.trace_id,
        )
        .where(task.c.job_id == job_id, task.c.position > after)
        .order_by(task.c.position)
        .limit(limit)
    )
    if state is not None:
        statement = statement.where(task.c.state == state)
    tasks = []
    for key, position, reference_id, version, found, message, recorded in await connection.execute(statement):
        trace_id = trace_id_of_failed(recorded, job_id, key) if found == TaskState.FAILED else recorded
        reference = Reference(reference_id, version)
        tasks.append((key, ReportedTask(position, reference, TaskState(found), message, trace_id)))
    return tasks


async def retries(connection: AsyncConnection, job_id: UUID) -> list[Job]:
    """The retries of the job, and the retries of these, in the order of their starts."""
    found: list[Job] = []
    of = [job_id]
    while of:
        rows = await connection.execute(select(job).where(job.c.retry_of.in_(of)))
        found += (more := [as_job(row) for row in rows])
        of = [each.id for each in more]
    return sorted(found, key=lambda each: (each.started, each.id))
