"""How many requests each source could get from each process, by the minute. No query commits."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import dialect
from app.db.tables import source_minute
from app.domain.minutes import DAY, ChartSpan, minute_of

KEPT = 31 * DAY
"""Minutes for which anything is kept; the minutes of each hour are one row after a day."""


class Sample(NamedTuple):
    """Of a source, as one process has it: requests at once that it allows, and those that are under way."""

    source: str
    allowed: int
    in_flight: int


async def write(connection: AsyncConnection, process: UUID, minute: int, samples: Sequence[Sample]) -> None:
    """Writes what was seen in this minute, in place of what was written before."""
    rows = [{"minute": minute, "process": process, **sample._asdict()} for sample in samples]
    statement = dialect.insert(connection, source_minute).values(rows)
    changed = {"allowed": statement.excluded.allowed, "in_flight": statement.excluded.in_flight}
    key = ["minute", "source", "process"]
    await connection.execute(statement.on_conflict_do_update(index_elements=key, set_=changed))


async def first(connection: AsyncConnection, since: int) -> int | None:
    """The first minute from `since` on of which something is known."""
    minute = source_minute.c.minute
    found: int | None = (await connection.execute(select(func.min(minute)).where(minute >= since))).scalar()
    return found


async def of(connection: AsyncConnection, span: ChartSpan) -> list[tuple[str, int, int, int]]:
    """Source, part of the span, smallest limit and most requests under way in it, of all processes together."""
    row = source_minute.c
    part = ((row.minute - span.begin) // span.step).label("part")
    minutes = (
        select(
            row.source, row.minute, part, func.sum(row.allowed).label("allowed"), func.sum(row.in_flight).label("busy")
        )
        .where(row.minute >= span.begin)
        .group_by(row.source, row.minute)
        .subquery()
    )
    each = minutes.c.source, minutes.c.part
    found = select(*each, func.min(minutes.c.allowed), func.max(minutes.c.busy)).group_by(*each).order_by(*each)
    return [(source, at, int(allowed), int(busy)) for source, at, allowed, busy in await connection.execute(found)]


async def thin(connection: AsyncConnection, now: datetime) -> int:
    """Of what is older than a day each hour becomes one row, with what was least and most; returns how many rows went.

    When two processes do it at the same time, both write the same.
    """
    row = source_minute.c
    hour = row.minute // 60 * 60
    old = minute_of(now) - DAY
    begin = old // 60 * 60
    hours = (
        select(hour.label("hour"), (row.minute % 60).label("past"), row.source, row.process, row.allowed, row.in_flight)
        .where(row.minute < begin)
        .subquery()
    )
    each = hours.c.hour, hours.c.source, hours.c.process
    folded = (
        select(*each, func.min(hours.c.allowed), func.max(hours.c.in_flight))
        .group_by(*each)
        .having(func.max(hours.c.past) > 0)
        .order_by(*each)
    )
    names = ["minute", "source", "process", "allowed", "in_flight"]
    statement = dialect.insert(connection, source_minute).from_select(names, folded)
    changed = {"allowed": statement.excluded.allowed, "in_flight": statement.excluded.in_flight}
    await connection.execute(statement.on_conflict_do_update(index_elements=names[:3], set_=changed))
    gone = delete(source_minute).where(row.minute < begin, row.minute % 60 != 0)
    count = (await connection.execute(gone)).rowcount
    return count + (await connection.execute(delete(source_minute).where(row.minute < old - KEPT))).rowcount
