"""Pages of a job's tasks in the order of submission, read by key: no transaction stays open between two pages."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.tables import task
from app.domain.jobs import Reference, ReportedTask, TaskState


async def page(
    connection: AsyncConnection, job_id: UUID, after: int, limit: int, state: TaskState | None
) -> list[ReportedTask]:
    """Up to `limit` tasks behind position `after` (−1 for the first page), only those in `state` where given."""
    statement = (
        select(
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
    return [
        ReportedTask(position, Reference(reference_id, version), TaskState(found), message, trace_id)
        for position, reference_id, version, found, message, trace_id in await connection.execute(statement)
    ]
