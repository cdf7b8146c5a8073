"""The outbox of job events: claimed in their order, sent, then deleted. No query commits."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import dialect
from app.db.tables import job_event


class OwedEvent(NamedTuple):
    """An event to be sent. `id` increases with each change of any job; `payload` is JSON."""

    id: int
    job_id: UUID
    at: datetime
    payload: str
    traceparent: str | None


async def claim(connection: AsyncConnection, now: datetime, lease_until: datetime, limit: int) -> list[OwedEvent]:
    """Leases the oldest events. Returns none while another process is sending: so the events of a job keep their
    order."""
    first = select(job_event).order_by(job_event.c.id).limit(limit)
    if (await connection.execute(first.limit(1))).first() is None:
        return []
    await dialect.lock(connection, dialect.LOCK_EVENT_RELAY)
    rows = (await connection.execute(first)).all()
    if any(row.claimed_until is not None and row.claimed_until > now for row in rows):
        return []
    ids = [row.id for row in rows]
    await connection.execute(update(job_event).where(job_event.c.id.in_(ids)).values(claimed_until=lease_until))
    return [OwedEvent(row.id, row.job_id, row.at, row.payload, row.traceparent) for row in rows]


async def remove(connection: AsyncConnection, ids: Sequence[int]) -> None:
    """Deletes events that the broker has acknowledged."""
    await connection.execute(delete(job_event).where(job_event.c.id.in_(ids)))


async def release(connection: AsyncConnection, ids: Sequence[int]) -> None:
    """Ends the lease of events that could not be sent."""
    await connection.execute(update(job_event).where(job_event.c.id.in_(ids)).values(claimed_until=None))
