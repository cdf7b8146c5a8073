"""Where the live flow began in each partition, the same for all processes. No query commits."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import dialect
from app.db.tables import live_start


async def starts(connection: AsyncConnection, topic: str) -> dict[int, int]:
    """The offset at which the flow began, by partition; empty for a topic that was never consumed."""
    statement = select(live_start.c.partition, live_start.c.position).where(live_start.c.topic == topic)
    return {partition: position for partition, position in await connection.execute(statement)}  # noqa: C416


async def begin(connection: AsyncConnection, topic: str, positions: Mapping[int, int], now: datetime) -> None:
    """Notes where these partitions begin; what another process noted before stays."""
    if positions:
        rows = [
            {"topic": topic, "partition": partition, "position": position, "at": now}
            for partition, position in sorted(positions.items())
        ]
        statement = dialect.insert(connection, live_start).values(rows)
        await connection.execute(statement.on_conflict_do_nothing())
