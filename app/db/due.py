"""Counts the commands that may be sent now, of each job no more than its window: cheap, however many wait."""

from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Integer, Select, bindparam, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.outbox import Outbox, may_be_published, may_be_sent, room_of


async def count_due(connection: AsyncConnection, box: Outbox, now: datetime, window: int) -> int:
    """The number of commands that the relay would send now: not published, due, and within the window of their job (or
    run)."""
    counted = await connection.execute(_due_of_each(box), {"now": now, "window": window})
    due = {owner: count for owner, count in counted if count}
    room = await room_of(connection, box, list(due), now, window)
    return sum(max(0, min(count, room[owner])) for owner, count in due.items())


@lru_cache
def _due_of_each(box: Outbox) -> Select[Any]:
    owners = box.owners
    first = (
        select(literal(1))
        .where(box.owner_id == owners.c.id, *may_be_sent(box))
        .limit(bindparam("window", type_=Integer))
        .correlate(owners)
        .subquery()
    )
    count = select(func.count()).select_from(first).scalar_subquery()
    return select(owners.c.id, count.label("due")).where(*may_be_published(box))
