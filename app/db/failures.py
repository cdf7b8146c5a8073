"""The failures of a job by cause, read from counters: as fast for a million failures as for ten."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, ScalarSelect, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.tables import failure_cause, task
from app.domain.failures import Cause, Example, Failures
from app.domain.identity import trace_id_of
from app.domain.jobs import Reference

EXAMPLES = 3


async def by_cause(connection: AsyncConnection, job_id: UUID, most: int) -> Failures:
    """Up to `most` causes, those with the most failures, each with its first failures as examples.

    One statement reads all numbers, so that they fit together.
    """
    causes = failure_cause.c
    top = (
        select(
            causes.id,
            causes.cause,
            causes.failed,
            causes.first,
            causes.last,
            func.sum(causes.failed).over().label("of_all"),
        )
        .where(causes.job_id == job_id)
        .order_by(causes.failed.desc(), causes.id)
        .limit(most)
        .subquery("top")
    )

    def nth(number: int) -> ScalarSelect[int]:
        of_cause = select(task.c.position).where(task.c.job_id == job_id, *is_cause(top.c.id))
        return of_cause.order_by(task.c.cause, task.c.position).limit(1).offset(number).scalar_subquery()

    statement = select(top, *(nth(number).label(f"example{number}") for number in range(EXAMPLES)))
    found = (await connection.execute(statement.order_by(top.c.failed.desc(), top.c.id))).all()
    if not found:
        return Failures(0, (), 0)
    places = [[position for position in row[-EXAMPLES:] if position is not None] for row in found]
    examples = await _examples(connection, job_id, sorted({position for of_one in places for position in of_one}))
    listed = tuple(
        Cause(row.cause, row.failed, row.first, row.last, tuple(examples[position] for position in of_one))
        for row, of_one in zip(found, places, strict=True)
    )
    failed = int(found[0].of_all)
    return Failures(failed, listed, failed - sum(cause.count for cause in listed))


def is_cause(id_: int | ColumnElement[int]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Conditions for the tasks of a cause, to be ordered by cause and position.

    With these two PostgreSQL uses the index of that order. With an equality it may read tasks by position instead,
    through all those between two tasks of the cause.
    """
    return task.c.cause >= id_, task.c.cause <= id_


async def _examples(connection: AsyncConnection, job_id: UUID, positions: Sequence[int]) -> dict[int, Example]:
    if not positions:
        return {}
    statement = select(
        task.c.position,
        task.c.reference_key,
        task.c.reference_id,
        task.c.reference_version,
        task.c.message,
        task.c.trace_id,
    ).where(task.c.job_id == job_id, task.c.position.in_(positions))
    rows = await connection.execute(statement)
    return {
        position: Example(position, Reference(id_, version), message, trace_id_of_failed(recorded, job_id, key))
        for position, key, id_, version, message, recorded in rows
    }


def trace_id_of_failed(recorded: str | None, job_id: UUID, key: UUID) -> str:
    """The trace id of a failed reference. A cancelled task has none recorded, so its trace id is computed."""
    return recorded or trace_id_of(job_id, key.bytes)
