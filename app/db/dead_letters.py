"""Queries on the number of dead letters of each topic. None commits."""

from collections.abc import Mapping

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import dialect
from app.db.tables import dead_letter_count
from app.domain.system import DeadLetters


async def add(connection: AsyncConnection, more: Mapping[str, DeadLetters]) -> None:
    """Adds `more` (topic → dead letters) to the counts; locks rows in the order of the topics."""
    known = dead_letter_count.c
    for topic, each in sorted(more.items()):
        insert = dialect.insert(connection, dead_letter_count)
        added = insert.excluded
        last = case((added.last_at > known.last_at, added.last_at), else_=known.last_at)
        await connection.execute(
            insert.values(topic=topic, count=each.count, last_at=each.last_at).on_conflict_do_update(
                index_elements=["topic"], set_={"count": known.count + added.count, "last_at": last}
            )
        )


async def total(connection: AsyncConnection) -> DeadLetters:
    """The dead letters of all topics together."""
    known = dead_letter_count.c
    count, last_at = (await connection.execute(select(func.sum(known.count), func.max(known.last_at)))).one()
    return DeadLetters(int(count or 0), last_at)  # a sum of such numbers is a decimal on PostgreSQL
