"""Repairs times in an outbox that lie in the future because the clock was set back: they would hold work too long."""

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Select, Update, and_, bindparam, case, or_, select, text, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.outbox import IDS, NOW, OPEN, ItemId, Outbox
from app.db.tables import OUTSTANDING, WAITING, UtcDateTime

BLOCK = 1_000


async def bring_back(
    connection: AsyncConnection, box: Outbox, now: datetime, *, lease: timedelta, served_after: datetime | None
) -> int:
    """Makes one block of items due, or published, now when their time is in the future; repeat it until it returns 0.

    `served_after`: only items of owners that were served after this time, which shows that the clock was ahead then. A
    pause that a source asked for is lost with it: that source is asked too early, once.
    """
    found = await connection.execute(
        _ahead(box, served_after is not None), {"now": now, "longest": now + lease, "served_after": served_after}
    )
    ids = [ItemId(*row) for row in found]
    if ids:
        await connection.execute(
            _bringing_back(box, connection.dialect.name), {**IDS.bind(connection, ids), "now": now}
        )
    return len(ids)


async def release_owners(
    connection: AsyncConnection, box: Outbox, now: datetime, served_after: datetime | None
) -> None:
    """Does the same for the pauses of whole owners, and for their turns."""
    owners = box.owners
    ahead = [owners.c.state == OPEN, box.only, or_(owners.c.held_until > now, owners.c.relayed_at > now)]
    if served_after is not None:
        ahead.append(owners.c.relayed_at > served_after)
    locked = select(owners.c.id).where(*ahead).order_by(owners.c.id).with_for_update()
    ids = list((await connection.execute(locked)).scalars())
    if ids:
        await connection.execute(update(owners).where(owners.c.id.in_(ids)).values(held_until=None, relayed_at=now))


@lru_cache
def _ahead(box: Outbox, only_served_after: bool) -> Select[Any]:
    items, owners = box.items, box.owners
    waiting = text(_of(box, WAITING))
    outstanding = text(_of(box, OUTSTANDING))
    longest = bindparam("longest", type_=UtcDateTime)
    return (
        select(box.owner_id, items.c.position)
        .join(owners, owners.c.id == box.owner_id)
        .where(
            owners.c.state == OPEN,
            box.only,
            owners.c.relayed_at > bindparam("served_after", type_=UtcDateTime) if only_served_after else true(),
            or_(
                and_(waiting, or_(items.c.not_before > NOW, items.c.claimed_until > longest)),
                and_(outstanding, items.c.published_at > NOW),
            ),
        )
        .order_by(box.owner_id, items.c.position)
        .limit(BLOCK)
        .with_for_update(of=items, skip_locked=True)
    )


def _of(box: Outbox, condition: str) -> str:
    """The condition of a partial index with its columns named in full: owners have some of the same name."""
    name = box.items.name
    for column in ("state", "published_at", "answered"):
        condition = condition.replace(column, f"{name}.{column}")
    return condition


@lru_cache
def _bringing_back(box: Outbox, dialect_name: str) -> Update:
    ids, items = IDS.clause(dialect_name), box.items
    return (
        update(items)
        .where(box.owner_id == ids.c.owner_id, items.c.position == ids.c.position, items.c.state == OPEN)
        .values(
            not_before=None,
            claimed_until=None,
            published_at=case((items.c.published_at > NOW, NOW), else_=items.c.published_at),
        )
    )
