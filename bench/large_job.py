"""A job of many references, nearly done, some of them failed: rows as the service leaves them, without the work."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import artifacts, causes, dialect, jobs, tasks
from app.db.causes import Count
from app.db.database import Database
from app.db.metadata_tables import artifact
from app.db.tables import job, task
from app.domain.artifacts import StoredArtifact
from app.domain.causes import cause_id, cause_of
from tests.support.rows import NOW, new_job, stored_artifact

CAUSES = 50

COLUMNS = (
    *("job_id", "position", "reference_key", "reference_id", "reference_version", "state", "published_at", "stored"),
    *("message", "trace_id", "finished_at", "cause"),
)
OPEN = 100
"""References that are still open, at the end."""


def message(number: int) -> str:
    """Some causes are frequent and some rare, and few messages of one are equal."""
    cause = min(int(random.expovariate(0.1)), CAUSES - 1)
    schema = "Archive data does not match schema PSF/OsvRecord version 1"
    return f"{schema}: $.lines[{number % 977}].field{cause}: must be integer"


def failing(count: int, share: float) -> set[int]:
    """A tenth of the failures is spread, the rest comes together at the end, as it does where a source changes."""
    spread, together = int(count * share * 0.1), int(count * share * 0.9)
    first = count - together - OPEN
    return {*random.sample(range(first), spread), *range(first, count - OPEN)}


async def fill(database: Database, count: int, share: float) -> UUID:
    """A job that is nearly done, with a row for each artifact."""
    of = new_job([])
    failed, counters = failing(count, share), Counter[str]()
    places = [uuid4() for _ in range(count)]

    def task_rows() -> Iterator[tuple[Any, ...]]:
        for position, place in enumerate(places):
            at = NOW + timedelta(milliseconds=position)
            named = (of.id, position, place, f"DOC-{position // 1000:04d}-{place.hex[:8]}", 1)
            if position in failed:
                told = message(position)
                cause = cause_of(told)
                counters[cause] += 1
                yield (*named, "failed", at, None, told, place.hex, at, cause_id(cause))
            elif position < count - OPEN:
                yield (*named, "succeeded", at, tasks.to_json(stored(place)), None, None, at, None)
            else:
                yield (*named, "open", None, None, None, None, None, None)

    def artifact_rows() -> Iterator[tuple[Any, ...]]:
        for position, place in enumerate(places):
            if position not in failed and position < count - OPEN:
                it = stored(place)
                named = ("M", "M", None, "DOC", 1, place, it.system, it.schema, 1, it.content_type, it.size, it.sha256)
                yield (*named, it.bucket, it.key, it.version_id, it.archived_at, None, of.id, 0, False)

    async def work(connection: AsyncConnection) -> None:
        assert await jobs.insert_if_absent(connection, replace(of, total=count, open=count))
        await dialect.insert_many(connection, task, COLUMNS, task_rows())
        await dialect.insert_many(
            connection, artifact, [name for name, _ in artifacts.ARTIFACTS.columns], artifact_rows()
        )
        counts = [Count(of.id, cause_id(cause), cause, number, NOW, NOW) for cause, number in counters.items()]
        await causes.count(connection, counts)
        ended = {"open": OPEN, "failed": len(failed), "succeeded": count - OPEN - len(failed)}
        await connection.execute(update(job).where(job.c.id == of.id).values(**ended))

    patient = database.patient()
    await patient.run(work)
    await patient.close()
    if database.engine.dialect.name == "postgresql":  # what autovacuum does; SQLite has nothing like it
        async with database.engine.connect() as connection:
            plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await plain.execute(text("VACUUM ANALYZE"))
    return of.id


def stored(place: UUID) -> StoredArtifact:
    return replace(stored_artifact(place.hex[:12]), key=f"PSF/OsvRecord/{place.hex[:2]}/{place.hex}/v1")
