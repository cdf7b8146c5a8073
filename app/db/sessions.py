"""Queries on the sessions of the page. None commits."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.tables import page_session


class SessionRow(NamedTuple):
    """`id` is a hash of what the browser has; `tokens` are encrypted."""

    id: bytes
    tokens: bytes
    ends: datetime


async def add(connection: AsyncConnection, row: SessionRow, now: datetime) -> None:
    """Adds a session, and deletes those that have ended."""
    await connection.execute(delete(page_session).where(page_session.c.ends < now))
    await connection.execute(insert(page_session).values(**row._asdict()))


async def find(connection: AsyncConnection, id_: bytes, now: datetime) -> SessionRow | None:
    """The session, unless it has ended."""
    columns = select(page_session.c.id, page_session.c.tokens, page_session.c.ends)
    row = (await connection.execute(columns.where(page_session.c.id == id_, page_session.c.ends > now))).first()
    return None if row is None else SessionRow(*row)


async def claim(connection: AsyncConnection, row: SessionRow, now: datetime, until: datetime) -> bool:
    """Takes the lease for renewing the tokens, unless somebody has it or has renewed them already."""
    free = or_(page_session.c.renewing_until.is_(None), page_session.c.renewing_until < now)
    same = (page_session.c.id == row.id, page_session.c.tokens == row.tokens)
    statement = update(page_session).where(*same, free).values(renewing_until=until)
    return (await connection.execute(statement)).rowcount == 1


async def renew(connection: AsyncConnection, id_: bytes, tokens: bytes) -> None:
    """Keeps other tokens, and gives the lease back."""
    values = {"tokens": tokens, "renewing_until": None}
    await connection.execute(update(page_session).where(page_session.c.id == id_).values(**values))


async def release(connection: AsyncConnection, id_: bytes) -> None:
    """Gives the lease back."""
    await connection.execute(update(page_session).where(page_session.c.id == id_).values(renewing_until=None))


async def remove(connection: AsyncConnection, id_: bytes) -> None:
    await connection.execute(delete(page_session).where(page_session.c.id == id_))
