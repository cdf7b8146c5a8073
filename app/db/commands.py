"""Reads the content of the commands of claimed items from the rows of the items. No query commits."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import direct, live_tasks
from app.db.metadata_tables import run
from app.db.outbox import IDS, ItemId
from app.db.tables import job, task
from app.domain.jobs import JobKind, Reference
from app.domain.tasks import OwedTask

LIVE = str(JobKind.LIVE)


async def owed_tasks(connection: AsyncConnection, items: Sequence[ItemId]) -> list[OwedTask]:
    """The tasks of these items, at least one, in any order."""
    rows = await direct.fetch(connection, _owed_tasks(connection.dialect.name), IDS.bind(connection, items))
    owed = [
        OwedTask(job_id, position, key, Reference(reference_id, version), message, topic, traceparent, kind == LIVE)
        for job_id, position, key, reference_id, version, message, topic, traceparent, kind in rows
    ]
    live = [each.key for each in owed if each.is_live]
    if not live:
        return owed
    messages = await live_tasks.traceparents(connection, live)
    return [each._replace(traceparent=messages.get(each.key)) if each.is_live else each for each in owed]


@lru_cache
def _owed_tasks(dialect_name: str) -> Select[Any]:
    ids = IDS.clause(dialect_name)
    return select(
        task.c.job_id,
        task.c.position,
        task.c.reference_key,
        task.c.reference_id,
        task.c.reference_version,
        job.c.message,
        job.c.topic,
        job.c.traceparent,
        job.c.kind,
    ).where(task.c.job_id == ids.c.owner_id, task.c.position == ids.c.position, job.c.id == task.c.job_id)


async def traces_of_runs(connection: AsyncConnection, run_ids: Iterable[UUID]) -> dict[UUID, str | None]:
    """The `traceparent` of each run."""
    rows = await connection.execute(select(run.c.id, run.c.traceparent).where(run.c.id.in_(run_ids)))
    return {run_id: traceparent for run_id, traceparent in rows}  # noqa: C416 # a row is no pair for mypy
