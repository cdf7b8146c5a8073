"""Queries on the processes of the service. All times of being seen are the database's: clocks of processes differ.

None commits.
"""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import dialect
from app.db.tables import service_process
from app.domain.system import ProcessSeen

SHOWN = timedelta(minutes=1)
"""For so long a process counts as running after it was seen."""

KEPT = timedelta(hours=1)
"""For so long the row of a process that was killed is kept."""


async def write(connection: AsyncConnection, process: ProcessSeen) -> None:
    """The process is seen now, whatever its own clock says. Removes the rows that are kept no longer."""
    now = await dialect.now(connection)
    values = {"id": process.id, "started_at": process.started_at, "seen_at": now, "release": process.release}
    statement = dialect.insert(connection, service_process).values(**values)
    await connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_={"seen_at": now}))
    await connection.execute(delete(service_process).where(service_process.c.seen_at < now - KEPT))


async def remove(connection: AsyncConnection, process_id: UUID) -> None:
    await connection.execute(delete(service_process).where(service_process.c.id == process_id))


async def running(connection: AsyncConnection) -> list[ProcessSeen]:
    """The processes that were seen lately, the oldest first."""
    process = service_process.c
    lately = process.seen_at > await dialect.now(connection) - SHOWN
    rows = await connection.execute(select(service_process).where(lately).order_by(process.started_at, process.id))
    return [ProcessSeen(row.id, row.started_at, row.seen_at, row.release) for row in rows]
