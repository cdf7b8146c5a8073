"""What ended of live archiving, by archive type, from the minutes of the live jobs. No query commits."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Subquery, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.tables import job, job_minute
from app.domain.jobs import JobKind, JobState
from app.domain.minutes import Part

LATE = timedelta(days=8)
"""A live job gets references for a day, and what it waits for may take longer; one that has ended counts for so long
after its start, one that is open always."""

TypeName = tuple[str, str | None]
"""Message type, and id of the configuration."""


async def first(connection: AsyncConnection, since: int, now: datetime) -> int | None:
    """The first minute from `since` on in which something of live archiving ended."""
    of = _ended(since, 1, now)
    found: int | None = (await connection.execute(select(func.min(of.c.minute)))).scalar()
    return found


async def ended(connection: AsyncConnection, since: int, step: int, now: datetime) -> list[tuple[TypeName, Part]]:
    """What ended from the minute `since` on, for each archive type and part of `step` minutes, counted from there."""
    of = _ended(since, step, now)
    each = of.c.message, of.c.config_id, of.c.part
    rows = await connection.execute(select(*each, func.sum(of.c.succeeded), func.sum(of.c.failed)).group_by(*each))
    return [((message, id_), Part(since + at * step, int(ok), int(bad))) for message, id_, at, ok, bad in rows]


def _ended(since: int, step: int, now: datetime) -> Subquery:
    """What ended in each minute: the difference to the reading before, which may be older than `since`."""
    begin = datetime.fromtimestamp(since * 60, now.tzinfo) - LATE
    live = (
        select(job.c.id, job.c.message, job.c.resolved_config_id.label("config_id"))
        .where(job.c.kind == JobKind.LIVE, or_(job.c.state == JobState.OPEN, job.c.started >= begin))
        .subquery()
    )

    def more(counter: ColumnElement[Any]) -> ColumnElement[Any]:
        before = func.lag(counter, 1, 0).over(partition_by=job_minute.c.job_id, order_by=job_minute.c.minute)
        return (counter - before).label(counter.name)

    counters = more(job_minute.c.succeeded), more(job_minute.c.failed)
    read = (
        select(live.c.message, live.c.config_id, job_minute.c.minute, *counters)
        .join(live, live.c.id == job_minute.c.job_id)
        .subquery()
    )
    part = ((read.c.minute - since) // step).label("part")
    return select(read, part).where(read.c.minute >= since).subquery()
