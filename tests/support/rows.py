"""Jobs and tasks as rows, for tests of the queries."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select, update

from app.db import jobs, outbox
from app.db.database import Database
from app.db.tables import job, task
from app.domain.artifacts import StoredArtifact
from app.domain.identity import content_hash, reference_key, trace_id_of
from app.domain.jobs import Job, JobState, Reference, TaskId

NOW = datetime(2026, 5, 8, 7, 26, 37, 123_000, tzinfo=UTC)
LEASE = NOW + timedelta(seconds=30)


def new_job(references: list[Reference], *, started: datetime = NOW) -> Job:
    return Job(
        id=uuid4(),
        message="M",
        topic="t",
        config_id=None,
        resolved_config_id="c",
        num_of_retry=None,
        state=JobState.OPEN,
        started=started,
        completed=None,
        started_by_name="John Doe",
        started_by_ext_id=None,
        total=len(references),
        open=len(references),
        succeeded=0,
        failed=0,
        last_settled=None,
        paused=False,
        traceparent=None,
        content_hash=content_hash("M", "t", None, keys_of(references)),
    )


def keys_of(references: Iterable[Reference]) -> bytes:
    return b"".join(map(reference_key, references))


async def insert_job(database: Database, count: int, *, started: datetime = NOW) -> UUID:
    """A job of so many references, `ref-0` and on."""
    references = [Reference(f"ref-{number}") for number in range(count)]
    new = new_job(references, started=started)
    assert await database.run(lambda c: jobs.insert_if_absent(c, new))
    await database.run(lambda c: jobs.insert_tasks(c, new.id, references))
    return new.id


def trace_of(job_id: UUID, number: int) -> str:
    """The trace id of `ref-<number>` in this job."""
    return trace_id_of(job_id, reference_key(Reference(f"ref-{number}")))


async def claim(
    database: Database, *, now: datetime = NOW, lease: datetime = LEASE, window: int = 100, batch: int = 100
) -> list[TaskId]:
    items = await database.run(
        lambda c: outbox.claim(c, outbox.TASKS, now, lease_until=lease, window=window, batch=batch)
    )
    return [TaskId(*item) for item in items]


async def publish(database: Database, **arguments: Any) -> list[TaskId]:
    """Claims and marks, as the relay does when all sends were acknowledged."""
    tasks = await claim(database, **arguments)
    lease, now = arguments.get("lease", LEASE), arguments.get("now", NOW)
    assert await database.run(lambda c: outbox.mark_published(c, outbox.TASKS, tasks, lease, now)) == len(tasks)
    return tasks


async def task_row(database: Database, task_id: TaskId) -> dict[str, Any]:
    statement = select(task).where(task.c.job_id == task_id.job_id, task.c.position == task_id.position)
    async with database.reading() as connection:
        return dict((await connection.execute(statement)).one()._mapping)


async def job_row(database: Database, job_id: UUID) -> dict[str, Any]:
    async with database.reading() as connection:
        return dict((await connection.execute(select(job).where(job.c.id == job_id))).one()._mapping)


async def change_job(database: Database, job_id: UUID, **values: Any) -> None:
    await database.run(lambda c: c.execute(update(job).where(job.c.id == job_id).values(**values)))


def stored_artifact(version_id: str = "v") -> StoredArtifact:
    return StoredArtifact(
        bucket="archive",
        key="PSF/OsvRecord/68/688d/v0",
        version_id=version_id,
        sha256="0" * 64,
        size=4711,
        content_type="application/json",
        system="PSF",
        schema="OsvRecord",
        schema_version=1,
        reference_id_type="org.python.advisory.OsvRecord",
        reference_id_hash="68",
        expiration_days=90,
        archived_at=NOW,
        retain_until=None,
        metadata=(("name", "ä"),),
    )
