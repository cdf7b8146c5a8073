"""Queries on the proofs of jobs: which are owed, who builds them, what is kept of them. None commits."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Integer, Select, Uuid, and_, bindparam, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import dialect
from app.db.jobs import as_job
from app.db.tables import UNPROVEN, UNTIMED, job, job_proof, task
from app.domain.jobs import Job
from app.domain.leaves import in_utc, leaf_line
from app.domain.proofs import JobProof

_KEPT = (
    "job_id", "created_at", "size", "root", "checkpoint", "bucket", "checkpoint_version", "leaves_version",
    "retain_until", "timestamp",
)  # fmt: skip


async def is_owed(connection: AsyncConnection, now: datetime) -> bool:
    """Whether there is a job for `claim`: asked each second, without a transaction that writes."""
    return (await connection.execute(_owed(now).with_only_columns(job.c.id))).first() is not None


async def claim(connection: AsyncConnection, now: datetime, lease_until: datetime) -> Job | None:
    """Leases the job that has owed a proof for longest; None where none does, or others build all of them."""
    await dialect.lock(connection, dialect.LOCK_PROOFS)
    row = (await connection.execute(_owed(now))).first()
    if row is None:
        return None
    leased = dialect.insert(connection, job_proof).values(job_id=row.id, claimed_until=lease_until)
    await connection.execute(
        leased.on_conflict_do_update(index_elements=[job_proof.c.job_id], set_={"claimed_until": lease_until})
    )
    return as_job(row)


def _owed(now: datetime) -> Select[tuple[object, ...]]:
    return (
        select(job)
        .outerjoin(job_proof, job_proof.c.job_id == job.c.id)
        .where(text(UNPROVEN), or_(job_proof.c.claimed_until.is_(None), job_proof.c.claimed_until <= now))
        .order_by(job.c.completed)
        .limit(1)
    )


async def lease(connection: AsyncConnection, job_id: UUID, until: datetime | None) -> None:
    """Moves the end of a lease; None ends it."""
    await connection.execute(update(job_proof).where(job_proof.c.job_id == job_id).values(claimed_until=until))


async def forget_leases(connection: AsyncConnection) -> None:
    """Ends all leases; for an installation with one process, when that starts."""
    await connection.execute(update(job_proof).where(job_proof.c.claimed_until.is_not(None)).values(claimed_until=None))


async def keep(connection: AsyncConnection, proof: JobProof, timestamp_due: datetime | None) -> bool:
    """Keeps a proof that was made; False where the job has one already. Its row is there since `claim`."""
    proven = (
        update(job)
        .where(job.c.id == proof.job_id, job.c.proven_at.is_(None))
        .values(proven_at=proof.created_at)
        .returning(job.c.id)
    )
    if (await connection.execute(proven)).first() is None:
        return False
    values = {name: getattr(proof, name) for name in _KEPT if name != "job_id"}
    await connection.execute(
        update(job_proof)
        .where(job_proof.c.job_id == proof.job_id)
        .values(**values, claimed_until=None, timestamp_due=timestamp_due)
    )
    return True


async def find(connection: AsyncConnection, job_id: UUID) -> JobProof | None:
    """The proof of a job; None while there is none."""
    statement = select(*(job_proof.c[name] for name in _KEPT)).where(
        job_proof.c.job_id == job_id, job_proof.c.checkpoint.is_not(None)
    )
    row = (await connection.execute(statement)).first()
    return None if row is None else JobProof(*row)


async def count_owed(connection: AsyncConnection, most: int) -> int:
    """How many completed jobs have no proof yet; counts no further than `most`."""
    return len((await connection.execute(select(job.c.id).where(text(UNPROVEN)).limit(most))).all())


def _untimed(now: datetime) -> Select[tuple[UUID]]:
    return (
        select(job_proof.c.job_id)
        .where(text(UNTIMED), job_proof.c.timestamp_due <= now)
        .order_by(job_proof.c.timestamp_due)
        .limit(1)
    )


async def is_untimed(connection: AsyncConnection, now: datetime) -> bool:
    """Whether there is a proof for `untimed`: asked each second, without a transaction that writes."""
    return (await connection.execute(_untimed(now))).first() is not None


async def untimed(connection: AsyncConnection, now: datetime, next_try: datetime) -> JobProof | None:
    """A proof that owes a timestamp; it is not due again before `next_try`."""
    await dialect.lock(connection, dialect.LOCK_PROOFS)
    row = (await connection.execute(_untimed(now))).first()
    if row is None:
        return None
    await connection.execute(update(job_proof).where(job_proof.c.job_id == row.job_id).values(timestamp_due=next_try))
    return await find(connection, row.job_id)


async def keep_timestamp(connection: AsyncConnection, job_id: UUID, timestamp: bytes) -> None:
    await connection.execute(
        update(job_proof).where(job_proof.c.job_id == job_id).values(timestamp=timestamp, timestamp_due=None)
    )


_PAGE = (
    select(task.c.position, task.c.reference_id, task.c.reference_version, task.c.state, task.c.message, task.c.stored)
    .where(
        and_(
            task.c.job_id == bindparam("job", type_=Uuid),
            task.c.position > bindparam("after", type_=Integer),
        )
    )
    .order_by(task.c.position)
    .limit(bindparam("most", type_=Integer))
)


async def page(connection: AsyncConnection, job_id: UUID, after: int, limit: int) -> Sequence[Any]:
    """Rows of up to `limit` tasks behind position `after`, in the order of submission, for `line_of`."""
    return (await connection.execute(_PAGE, {"job": job_id, "after": after, "most": limit})).all()


def line_of(row: Any) -> tuple[bytes, str | None]:
    """The leaf of a row, and the end of the lock of its object, where there is one, as in the leaf."""
    position, reference_id, version, state, message, stored = row
    if stored is None:
        return leaf_line(position, reference_id, version, state, message, None), None
    values = orjson.loads(stored)
    until = values["retain_until"]
    line = leaf_line(position, reference_id, version, state, message, values)
    return line, None if until is None else in_utc(until)
