"""The outbox: the commands that the database owes the broker: claimed, marked as published, made due again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnElement,
    CompoundSelect,
    Integer,
    Select,
    Table,
    Update,
    Uuid,
    and_,
    bindparam,
    func,
    or_,
    select,
    text,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningUpdate

from app.db import dialect, direct
from app.db.metadata_tables import batch, run
from app.db.tables import LEASED, OUTSTANDING, WAITING, UtcDateTime, job, task
from app.domain.jobs import JobKind

OWNERS_PER_CLAIM = 100
"""Jobs that get a turn in one claim; those served longest ago come first, so all get theirs."""

OPEN = "open"


@dataclass(frozen=True, slots=True, eq=False)
class Outbox:
    """Two tables as an outbox. The broker is owed `items` (tasks, batches), each for one of `owners` (jobs, runs).

    `owner_id` is the column of an item that names its owner; `lock` keeps claims of several processes apart. Where the
    same tables are two outboxes, `only` says which owners are of this one.
    """

    owners: Table
    items: Table
    owner_id: Column[Any]
    lock: int
    only: ColumnElement[bool]


TASKS = Outbox(job, task, task.c.job_id, dialect.LOCK_RELAY, job.c.kind == JobKind.BACKFILL)
LIVE_TASKS = Outbox(job, task, task.c.job_id, dialect.LOCK_LIVE_RELAY, job.c.kind == JobKind.LIVE)
"""Claimed apart from those of backfill jobs: a message waits for no claim of 500 of them."""

BATCHES = Outbox(run, batch, batch.c.run_id, dialect.LOCK_RUN_RELAY, true())


class ItemId(NamedTuple):
    """The place of an item within its owner; items are locked in this order everywhere."""

    owner_id: UUID
    position: int


# Statements are built once per dialect and kept (lru_cache); rows and times are bound when they are executed.
IDS = dialect.Rows("ids", [("owner_id", Uuid), ("position", Integer)])
OWNERS = dialect.Rows("of_owners", [("owner_id", Uuid)])
NOW = bindparam("now", type_=UtcDateTime)


async def claim(
    connection: AsyncConnection, box: Outbox, now: datetime, *, lease_until: datetime, window: int, batch: int
) -> list[ItemId]:
    """Leases up to `batch` due items until `lease_until`. Owners take turns, each within its `window`.

    All outstanding items are counted, claimed ones included. One process claims at a time, so that two cannot both fill
    the same window. `lease_until` also identifies the items of this claim (`mark_published`).
    """
    await dialect.lock(connection, box.lock)
    owners = [owner for (owner,) in await direct.fetch(connection, _turns(box), {"now": now})]
    room = await room_of(connection, box, owners, now, window)
    taken: list[ItemId] = []
    for owner, share in _shares(owners, room, batch):
        due = await direct.fetch(connection, _due(box), {"now": now, "owner": owner, "share": share})
        taken += [ItemId(*row) for row in due]
    if not taken:
        return []
    leasing = {**IDS.bind(connection, taken), "lease_until": lease_until}
    rows = await direct.fetch(connection, _leasing(box, connection.dialect.name), leasing)
    leased = sorted(ItemId(*row) for row in rows)
    served = OWNERS.bind(connection, [(each,) for each in {item.owner_id for item in leased}])
    await direct.change(connection, _served(box, connection.dialect.name), {**served, "now": now})
    return leased


def may_be_sent(box: Outbox) -> list[ColumnElement[bool]]:
    """Commands that may be sent now."""
    return [
        text(WAITING),  # type: ignore[list-item]
        or_(box.items.c.claimed_until.is_(None), box.items.c.claimed_until < NOW),
        or_(box.items.c.not_before.is_(None), box.items.c.not_before <= NOW),
    ]


def may_be_published(box: Outbox) -> list[ColumnElement[bool]]:
    """Owners whose commands may be sent now."""
    owners = box.owners.c
    held = or_(owners.held_until.is_(None), owners.held_until <= NOW)
    return [owners.state == OPEN, owners.paused.is_(False), held, box.only]


@lru_cache
def _turns(box: Outbox) -> Select[Any]:
    # Not EXISTS: PostgreSQL turns that into a join, and then reads all that waits.
    first = (
        select(box.items.c.position)
        .where(box.owner_id == box.owners.c.id, *may_be_sent(box))
        .order_by(box.items.c.position)
        .limit(1)
    ).scalar_subquery()
    return (
        select(box.owners.c.id)
        .where(*may_be_published(box), first.is_not(None))
        .order_by(box.owners.c.relayed_at.nulls_first(), box.owners.c.started)
        .limit(OWNERS_PER_CLAIM)
    )


@lru_cache
def _due(box: Outbox) -> Select[Any]:
    return (
        select(box.owner_id, box.items.c.position)
        .where(box.owner_id == bindparam("owner", type_=Uuid), *may_be_sent(box))
        .order_by(box.items.c.position)
        .limit(bindparam("share", type_=Integer))
        .with_for_update(skip_locked=True)
    )


@lru_cache
def _leasing(box: Outbox, dialect_name: str) -> ReturningUpdate[Any]:
    """Leases rows that are locked, so they still wait.

    The condition is not repeated: PostgreSQL might then read all waiting rows for each.
    """
    ids = IDS.clause(dialect_name)
    return (
        update(box.items)
        .where(box.owner_id == ids.c.owner_id, box.items.c.position == ids.c.position)
        .values(claimed_until=bindparam("lease_until", type_=UtcDateTime))
        .returning(box.owner_id, box.items.c.position)
    )


@lru_cache
def _served(box: Outbox, dialect_name: str) -> Update:
    """Locks the owners in the order of their ids, as all callers do: an UPDATE alone locks in an order of its own."""
    owners = box.owners
    served = select(owners.c.id).where(owners.c.id.in_(_of(dialect_name))).order_by(owners.c.id).with_for_update()
    return update(owners).where(owners.c.id.in_(served)).values(relayed_at=NOW)


def _of(dialect_name: str) -> Select[Any]:
    return select(OWNERS.clause(dialect_name).c.owner_id)


async def room_of(
    connection: AsyncConnection, box: Outbox, owners: Sequence[UUID], now: datetime, window: int
) -> dict[UUID, int]:
    """How many more commands each owner may publish: window − published and unanswered − being sent."""
    room = dict.fromkeys(owners, window)
    if owners:
        values = OWNERS.bind(connection, [(owner,) for owner in owners])
        for owner, count in await direct.fetch(connection, _out(box, connection.dialect.name), {**values, "now": now}):
            room[owner] -= count
    return room


@lru_cache
def _out(box: Outbox, dialect_name: str) -> CompoundSelect[Any]:
    """Two counts, each over its partial index: there may be a million waiting rows."""
    published = (
        select(box.owner_id, func.count().label("out"))
        .where(box.owner_id.in_(_of(dialect_name)), text(OUTSTANDING))
        .group_by(box.owner_id)
    )
    sending = (
        select(box.owner_id, func.count())
        .where(box.owner_id.in_(_of(dialect_name)), text(LEASED), box.items.c.claimed_until >= NOW)
        .group_by(box.owner_id)
    )
    return published.union_all(sending)


async def count_outstanding(connection: AsyncConnection, box: Outbox) -> int:
    """The number of commands of all owners that are published and not answered; the partial index holds only these."""
    return (await connection.execute(select(func.count()).select_from(box.items).where(text(OUTSTANDING)))).scalar_one()


def _shares(owners: Sequence[UUID], room: dict[UUID, int], batch: int) -> list[tuple[UUID, int]]:
    """Divides `batch` evenly among the owners that have room; what small shares leave goes to owners that can take
    more."""
    able = [owner for owner in owners if room[owner] > 0]
    shares = []
    for left, owner in zip(range(len(able), 0, -1), sorted(able, key=lambda each: room[each]), strict=True):
        share = min(room[owner], max(1, batch // left))
        shares.append((owner, share))
        batch = max(0, batch - share)
    return shares


async def mark_published(
    connection: AsyncConnection, box: Outbox, items: Sequence[tuple[UUID, int]], lease_until: datetime, now: datetime
) -> int:
    """Marks the items that still belong to this claim: an answered item has left the claim and stays as it is."""
    return await _settle_claim(connection, box, items, lease_until, published_at=now)


async def release(
    connection: AsyncConnection, box: Outbox, items: Sequence[tuple[UUID, int]], lease_until: datetime
) -> int:
    """Ends a claim at once, after a send that failed."""
    return await _settle_claim(connection, box, items, lease_until)


async def _settle_claim(
    connection: AsyncConnection,
    box: Outbox,
    items: Sequence[tuple[UUID, int]],
    lease_until: datetime,
    published_at: datetime | None = None,
) -> int:
    values = IDS.bind(connection, sorted(items))
    times = {"lease_until": lease_until, "published": published_at}
    return await direct.change(connection, _settling_claim(box, connection.dialect.name), {**values, **times})


@lru_cache
def _settling_claim(box: Outbox, dialect_name: str) -> Update:
    ids = IDS.clause(dialect_name)
    return (
        update(box.items)
        .where(
            box.owner_id == ids.c.owner_id,
            box.items.c.position == ids.c.position,
            box.items.c.state == OPEN,
            box.items.c.claimed_until == bindparam("lease_until", type_=UtcDateTime),
        )
        .values(claimed_until=None, published_at=bindparam("published", type_=UtcDateTime))
    )


async def owe_again(
    connection: AsyncConnection, box: Outbox, published_before: datetime | None, limit: int = 1_000
) -> int:
    """Makes unanswered commands that were published before that time due again; returns how many. Paused ones wait.

    For topics that lost records. None: all of them, also the paused ones, for the embedded broker, which loses its
    commands at a restart.
    """
    lost = (
        select(box.owner_id, box.items.c.position)
        .join(box.owners, box.owners.c.id == box.owner_id)
        .where(
            text(f"{box.items.name}.{OUTSTANDING}"),
            box.only,
            true()
            if published_before is None
            else and_(box.owners.c.paused.is_(False), box.items.c.published_at < published_before),
        )
        .order_by(box.owner_id, box.items.c.position)
        .limit(limit)
        .with_for_update(of=box.items, skip_locked=True)
    )
    found = [ItemId(*row) for row in await connection.execute(lost)]
    if not found:
        return 0
    return (await connection.execute(_owing_again(box, connection.dialect.name), IDS.bind(connection, found))).rowcount


@lru_cache
def _owing_again(box: Outbox, dialect_name: str) -> Update:
    ids = IDS.clause(dialect_name)
    return (
        update(box.items)
        .where(box.owner_id == ids.c.owner_id, box.items.c.position == ids.c.position, box.items.c.state == OPEN)
        .values(published_at=None, claimed_until=None)
    )
