"""Queries on the processes of the service. `seen_at` is always a time of the database: the clocks of processes differ.

None commits.
"""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import dialect
from app.db.tables import service_process
from app.domain.system import KnownProcess

SHOWN = timedelta(minutes=1)
"""How long a process counts as running after it was last seen."""

KEPT = timedelta(hours=1)
"""How long the row of a killed process is kept."""


async def write(connection: AsyncConnection, process: KnownProcess) -> None:
    """Writes that the process was seen now, by the clock of the database. Deletes rows older than `KEPT`."""
    now = await dialect.now(connection)
    values = {"id": process.id, "started_at": process.started_at, "seen_at": now, "release": process.release}
    statement = dialect.insert(connection, service_process).values(**values)
    await connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_={"seen_at": now}))
    await connection.execute(delete(service_process).where(service_process.c.seen_at < now - KEPT))


async def remove(connection: AsyncConnection, process_id: UUID) -> None:
    await connection.execute(delete(service_process).where(service_process.c.id == process_id))


async def running(connection: AsyncConnection) -> list[KnownProcess]:
    """The processes that were seen in the last minute, the oldest first."""
    process = service_process.c
    lately = process.seen_at > await dialect.now(connection) - SHOWN
    rows = await connection.execute(select(service_process).where(lately).order_by(process.started_at, process.id))
    return [KnownProcess(row.id, row.started_at, row.seen_at, row.release) for row in rows]
