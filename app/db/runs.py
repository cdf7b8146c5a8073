"""Queries on metadata runs: create with their batches, look up, count up, end. None commits."""

import json
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Row,
    Select,
    Text,
    Update,
    Uuid,
    and_,
    bindparam,
    func,
    select,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningUpdate

from app.db import dialect
from app.db.metadata_tables import Id, artifact, batch, definition, error, run, value
from app.db.pages import newest_first
from app.db.tables import UtcDateTime
from app.domain.runs import BatchResult, Mode, Run, RunState

RUN = bindparam("run", type_=Uuid)
# Statements of each batch are built once and kept (lru_cache).


class BatchId(NamedTuple):
    run_id: UUID
    position: int


class BatchRow(NamedTuple):
    """A batch as a command finds it, with its run. It covers the artifacts after `after_id` up to `to_id`."""

    id: BatchId
    is_open: bool
    after_id: int
    to_id: int
    run: Run


def candidates(new: Run) -> ColumnElement[bool]:
    """The artifacts that a run must read; an artifact that the run has brought up to date no longer belongs to them."""
    scope = and_(
        artifact.c.archive_type == new.archive_type,
        true() if new.all_versions else artifact.c.superseded.is_(False),
    )
    match new.mode:
        case Mode.AUTOMATIC:
            return and_(scope, artifact.c.revision < new.revision)
        case Mode.MISSING:
            present = (
                select(func.count())
                .where(value.c.artifact_id == artifact.c.id, value.c.key.in_(new.keys))
                .correlate(artifact)
                .scalar_subquery()
            )
            return and_(scope, present < len(new.keys))
        case Mode.FAILED:
            failed = select(error.c.artifact_id).where(
                error.c.artifact_id == artifact.c.id, error.c.resolved.is_(False)
            )
            return and_(scope, failed.exists())
        case _:
            return scope


async def count(connection: AsyncConnection, new: Run) -> int:
    statement = select(func.count()).select_from(artifact).where(candidates(new))
    return (await connection.execute(statement)).scalar_one()


async def any_candidate(connection: AsyncConnection, new: Run) -> bool:
    statement = select(artifact.c.id).where(candidates(new)).limit(1)
    return (await connection.execute(statement)).first() is not None


async def create(connection: AsyncConnection, new: Run, batch_size: int) -> Run:
    """Stores the run with batches over all its artifacts; a run without artifacts is completed at once."""
    values = {
        "id": new.id,
        "archive_type": new.archive_type,
        "message_type": new.message_type,
        "config_id": new.config_id,
        "keys": json.dumps(new.keys),
        "mode": new.mode,
        "revision": new.revision,
        "all_versions": new.all_versions,
        "state": RunState.OPEN,
        "started": new.started,
        "started_by_name": new.started_by_name,
        "started_by_ext_id": new.started_by_ext_id,
        "traceparent": new.traceparent,
        "planned_to": 0,
        "total": 0,
        "batches": 0,
        "open": 0,
    }
    await connection.execute(run.insert(), values)
    await extend(connection, new, batch_size, new.started)
    created = await find(connection, new.id)
    assert created is not None  # noqa: S101 # inserted above
    return created


async def extend(connection: AsyncConnection, of: Run, batch_size: int, now: datetime) -> int:
    """Adds batches for all artifacts that the run must still read; when there are none, the run is completed.

    Returns how many artifacts were added. No batch of the run is open: the run was just inserted, or the caller holds
    its row and has closed the last batch. Artifacts archived meanwhile may have any id: a lower id can be committed
    later. One statement reads the ranges, so that two queries cannot disagree.
    """
    numbered = (
        select(
            artifact.c.id,
            ((func.row_number().over(order_by=artifact.c.id) - 1) // batch_size).label("place"),
        )
        .where(candidates(of))
        .subquery()
    )
    ranges = (
        select(func.min(numbered.c.id) - 1, func.max(numbered.c.id), func.count())
        .group_by(numbered.c.place)
        .order_by(numbered.c.place)
    )
    found = (await connection.execute(ranges)).all()
    if not found:
        await complete(connection, of.id, now)
        return 0
    first = (await connection.execute(select(run.c.batches).where(run.c.id == of.id))).scalar_one()
    names = [batch.c.run_id.name, batch.c.position.name, batch.c.after_id.name, batch.c.to_id.name]
    records = ((of.id, position, after_id, to_id) for position, (after_id, to_id, _) in enumerate(found, first))
    await dialect.insert_many(connection, batch, names, records)
    total: int = sum(count for *_, count in found)
    await connection.execute(
        update(run)
        .where(run.c.id == of.id)
        .values(
            total=run.c.total + total,
            batches=run.c.batches + len(found),
            open=run.c.open + len(found),
            planned_to=found[-1][1],
        )
    )
    return total


async def complete(connection: AsyncConnection, run_id: UUID, now: datetime) -> None:
    """Ends a run whose batches are all closed; some artifacts may have been brought up to date by another run."""
    ended = update(run).where(run.c.id == run_id, run.c.open == 0, run.c.state == RunState.OPEN)
    await connection.execute(ended.values(state=RunState.COMPLETED, completed=now, paused=False, total=run.c.processed))


async def find(connection: AsyncConnection, run_id: UUID, *, lock: bool = False) -> Run | None:
    row = (await connection.execute(_finding(lock), {"run": run_id})).first()
    return None if row is None else as_run(row)


@lru_cache
def _finding(lock: bool) -> Select[Any]:
    statement = select(run).where(run.c.id == RUN)
    return statement.with_for_update() if lock else statement


async def page(connection: AsyncConnection, before: tuple[datetime, UUID] | None, limit: int) -> list[Run]:
    """Runs, newest first, that follow the run `before` in the list."""
    return [as_run(row) for row in await connection.execute(newest_first(run, before, limit))]


async def open_of(connection: AsyncConnection, archive_type: str) -> list[Run]:
    """The runs of an archive type that have not ended."""
    statement = select(run).where(run.c.archive_type == archive_type, run.c.state == RunState.OPEN)
    return [as_run(row) for row in await connection.execute(statement)]


async def count_open(connection: AsyncConnection) -> int:
    statement = select(func.count()).select_from(run).where(run.c.state == RunState.OPEN)
    return (await connection.execute(statement)).scalar_one()


async def was_cancelled(connection: AsyncConnection, archive_type: str, revision: int) -> bool:
    """Whether somebody cancelled the automatic run to this revision."""
    statement = select(run.c.id).where(
        run.c.archive_type == archive_type,
        run.c.mode == Mode.AUTOMATIC,
        run.c.revision == revision,
        run.c.state == RunState.CANCELLED,
    )
    return (await connection.execute(statement.limit(1))).first() is not None


async def look_up(connection: AsyncConnection, ids: Sequence[BatchId]) -> dict[BatchId, BatchRow]:
    """The batches of many commands; unknown batches are absent."""
    found: dict[BatchId, BatchRow] = {}
    for run_id in {id_.run_id for id_ in ids}:
        of = await find(connection, run_id)
        if of is None:
            continue
        wanted = [id_.position for id_ in ids if id_.run_id == run_id]
        rows = await connection.execute(_looking_up(), {"run": run_id, "positions": wanted})
        for position, state, after_id, to_id in rows:
            place = BatchId(run_id, position)
            found[place] = BatchRow(place, state == RunState.OPEN, after_id, to_id, of)
    return found


@lru_cache
def _looking_up() -> Select[Any]:
    positions = bindparam("positions", type_=Integer, expanding=True)
    return select(batch.c.position, batch.c.state, batch.c.after_id, batch.c.to_id).where(
        batch.c.run_id == RUN, batch.c.position.in_(positions)
    )


async def close_batch(connection: AsyncConnection, row: BatchRow) -> bool:
    """False when another process closed or advanced the batch, or the run was made for another definition.

    The caller holds the run's row. A run by hand, too, writes values of the definition that it was made for.
    """
    return (await connection.execute(_ending(closed=True), _as_seen(row))).rowcount > 0


async def advance_batch(connection: AsyncConnection, row: BatchRow, after_id: int) -> bool:
    """Records that the artifacts up to `after_id` are done and the rest of the batch is not. False as for
    `close_batch`."""
    return (await connection.execute(_ending(closed=False), {**_as_seen(row), "behind": after_id})).rowcount > 0


def _as_seen(row: BatchRow) -> dict[str, Any]:
    return {
        "run": row.id.run_id,
        "place": row.id.position,
        "seen_after": row.after_id,
        "type": row.run.archive_type,
        "made": row.run.revision,
    }


@lru_cache
def _ending(*, closed: bool) -> Update:
    current = select(definition.c.revision).where(definition.c.archive_type == bindparam("type", type_=Text))
    new: dict[str, Any] = {"state": RunState.COMPLETED, "claimed_until": None}
    return (
        update(batch)
        .where(
            batch.c.run_id == RUN,
            batch.c.position == bindparam("place", type_=Integer),
            batch.c.state == RunState.OPEN,
            batch.c.after_id == bindparam("seen_after", type_=Id),
            current.scalar_subquery() == bindparam("made", type_=Integer),
        )
        .values(**(new if closed else {"after_id": bindparam("behind", type_=Id)}))
    )


async def count_batch(
    connection: AsyncConnection, run_id: UUID, result: BatchResult, now: datetime, *, closed: bool
) -> Run:
    """Counts a batch that was closed or advanced in the same transaction; returns the run after that."""
    counts = {
        "closed": int(closed),
        "more_processed": result.processed,
        "more_updated": result.updated,
        "more_nulls": result.nulls,
        "more_failed": result.failed,
    }
    return as_run((await connection.execute(_counting(), {"run": run_id, "now": now, **counts})).one())


@lru_cache
def _counting() -> ReturningUpdate[Any]:
    def more(of: str) -> ColumnElement[int]:
        return run.c[of] + bindparam(f"more_{of}", type_=Integer)

    return (
        update(run)
        .where(run.c.id == RUN)
        .values(
            open=run.c.open - bindparam("closed", type_=Integer),
            **{of: more(of) for of in ("processed", "updated", "nulls", "failed")},
            last_settled=bindparam("now", type_=UtcDateTime),
        )
        .returning(run)
    )


async def put_back(connection: AsyncConnection, place: BatchId, not_before: datetime) -> None:
    await connection.execute(
        update(batch)
        .where(batch.c.run_id == place.run_id, batch.c.position == place.position, batch.c.state == RunState.OPEN)
        .values(published_at=None, claimed_until=None, not_before=not_before)
    )


async def end(connection: AsyncConnection, run_id: UUID, state: RunState, now: datetime) -> bool:
    """Ends an open run; its open batches are never published again. False when the run had ended before."""
    ended = (
        update(run)
        .where(run.c.id == run_id, run.c.state == RunState.OPEN)
        .values(state=state, completed=now, paused=False)
    )
    if (await connection.execute(ended)).rowcount == 0:
        return False
    await connection.execute(
        update(batch).where(batch.c.run_id == run_id, batch.c.state == RunState.OPEN).values(state=state)
    )
    return True


async def pause(connection: AsyncConnection, of: Run, now: datetime) -> bool:
    """False when the run is paused already or has ended. The caller holds its row, as for `resume`."""
    return of.state is RunState.OPEN and await _set(connection, of, paused=True, paused_at=now)


async def resume(connection: AsyncConnection, of: Run, now: datetime) -> bool:
    """False when the run is not paused. Its rate goes on from its old value."""
    if of.state is not RunState.PAUSED:
        return False
    values: dict[str, Any] = {"paused": False, "paused_at": None}
    if of.paused_at is not None:
        values["paused_seconds"] = of.paused_seconds + max(0.0, (now - of.paused_at).total_seconds())
        values["last_settled"] = None if of.last_settled is None else now
    return await _set(connection, of, **values)


async def _set(connection: AsyncConnection, of: Run, **values: Any) -> bool:
    return (await connection.execute(update(run).where(run.c.id == of.id).values(**values))).rowcount > 0


async def errors(connection: AsyncConnection, run_id: UUID, after: int, limit: int) -> Sequence[Any]:
    """(artifact_id, message, at, resolved) of a run, by artifact, behind `after`."""
    statement = (
        select(error.c.artifact_id, error.c.message, error.c.at, error.c.resolved)
        .where(error.c.run_id == run_id, error.c.artifact_id > after)
        .order_by(error.c.artifact_id)
        .limit(limit)
    )
    return (await connection.execute(statement)).all()


def as_run(row: Row[Any]) -> Run:
    values = row._mapping
    state = RunState(values["state"])
    return Run(
        id=values["id"],
        archive_type=values["archive_type"],
        message_type=values["message_type"],
        config_id=values["config_id"],
        keys=tuple(json.loads(values["keys"])),
        mode=Mode(values["mode"]),
        revision=values["revision"],
        all_versions=values["all_versions"],
        state=RunState.PAUSED if values["paused"] and state is RunState.OPEN else state,
        started=values["started"],
        completed=values["completed"],
        last_settled=values["last_settled"],
        paused_at=values["paused_at"],
        paused_seconds=values["paused_seconds"],
        started_by_name=values["started_by_name"],
        started_by_ext_id=values["started_by_ext_id"],
        traceparent=values["traceparent"],
        total=values["total"],
        batches=values["batches"],
        open=values["open"],
        processed=values["processed"],
        updated=values["updated"],
        nulls=values["nulls"],
        failed=values["failed"],
    )
