"""The audit log: entries are written in the transaction of each act, behind everything else that it locks.

None of these functions commits.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Select, and_, bindparam, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import dialect
from app.db.audit_rows import ENTRY, HASH, as_found, as_hash, as_head, as_moment, logged
from app.db.tables import audit_checkpoint, audit_entry, audit_head
from app.domain.audit import Act, Actor, AuditEntry, BrokenHead, LoggedEntry, leaf_of, without_nulls
from app.domain.canonical_json import canonical
from app.domain.jobs import in_milliseconds
from app.domain.merkle import Frontier, leaf_hash

PAGE = 2_000
"""Rows that are read in one go, some 10 ms."""


class AuditFilter(NamedTuple):
    """None: any. `who` is a subject, a name, an ext_id or a client."""

    subject: str | None = None
    who: str | None = None
    what: str | None = None
    since: datetime | None = None


async def append(connection: AsyncConnection, entries: Sequence[AuditEntry]) -> None:
    """Writes the entries at the end of the log, and the head with them.

    The row of the head is the last that an act locks: tasks, jobs, head. So acts wait for each other only while they
    commit, and no two wait in a circle.
    """
    head = await _head(connection, lock=True)
    rows = []
    for entry in entries:
        details = without_nulls(entry.details) or None
        at = in_milliseconds(entry.at)  # as it is hashed
        hash_ = leaf_hash(leaf_of(head.size, at, entry.by, entry.what, entry.subject, details))
        rows.append({
            "seq": head.size,
            "at": at,
            "what": str(entry.what),
            "subject": entry.subject,
            **dict(zip(_WHO, entry.by or Actor(), strict=True)),
            "details": None if details is None else canonical(details).decode(),
            "hash": hash_,
        })  # fmt: skip
        head = head.grown(hash_)
    await connection.execute(_INSERT, rows if len(rows) > 1 else rows[0])
    await connection.execute(_GROW, {"of_size": head.size, "of_frontier": head.packed()})


# Made once: building a statement, and finding its compiled form, costs as much as executing it.
_INSERT = insert(audit_entry)
_GROW = (
    update(audit_head)
    .where(audit_head.c.id == 0)
    .values(
        size=bindparam("of_size", type_=audit_head.c.size.type),
        frontier=bindparam("of_frontier", type_=audit_head.c.frontier.type),
    )
)

_WHO = ("who_subject", "who_name", "who_ext_id", "who_client")


async def head(connection: AsyncConnection) -> Frontier:
    """Size and frontier of the tree over all entries. Raises BrokenHead."""
    return await _head(connection, lock=False)


async def _head(connection: AsyncConnection, *, lock: bool) -> Frontier:
    row = (await connection.execute(_of_head(connection.dialect.name, lock))).first()
    if row is None:
        raise BrokenHead("the head of the log was removed")
    return as_head(row.size, row.frontier)


@lru_cache
def _of_head(_dialect_name: str, lock: bool) -> Select[Any]:
    statement = select(audit_head.c.size, as_found(audit_head.c.frontier)).where(audit_head.c.id == 0)
    return statement.with_for_update() if lock else statement


LAST = 2**63 - 1
"""Behind it SQLite sorts texts and bytes."""

_SIZE = select(audit_head.c.size).where(audit_head.c.id == 0).scalar_subquery()


async def entries(
    connection: AsyncConnection, wanted: AuditFilter, before: int | None, limit: int
) -> list[LoggedEntry]:
    """Wanted entries, newest first, below `before`. Rows that are outside the log are none."""
    inside = (audit_entry.c.seq >= 0, audit_entry.c.seq < _SIZE)
    statement = select(*ENTRY).where(*inside).order_by(audit_entry.c.seq.desc()).limit(limit)
    if before is not None:
        statement = statement.where(audit_entry.c.seq < before)
    if wanted.subject is not None:
        statement = statement.where(audit_entry.c.subject == wanted.subject)
    if wanted.what is not None:
        statement = statement.where(audit_entry.c.what == wanted.what)
    if wanted.who is not None:
        statement = statement.where(or_(*(audit_entry.c[name] == wanted.who for name in _WHO)))
    if wanted.since is not None:
        statement = statement.where(audit_entry.c.at >= wanted.since)
    return [logged(row) for row in await connection.execute(statement)]


async def following(connection: AsyncConnection, after: int, limit: int = PAGE) -> list[LoggedEntry]:
    """Entries in their order, behind `after` (−1 for the first)."""
    behind = audit_entry.c.seq > after, audit_entry.c.seq <= LAST
    statement = select(*ENTRY).where(*behind).order_by(audit_entry.c.seq).limit(limit)
    return [logged(row) for row in await connection.execute(statement)]


async def outside(connection: AsyncConnection, limit: int) -> list[Any]:
    """What rows below 0 have as their number, and on SQLite those above every number; no act writes such."""
    where = or_(audit_entry.c.seq < 0, audit_entry.c.seq > LAST)
    statement = select(audit_entry.c.seq).where(where).order_by(audit_entry.c.seq).limit(limit)
    return list((await connection.execute(statement)).scalars())


async def hashes(connection: AsyncConnection, start: int, end: int) -> list[bytes]:
    """The hashes of the entries from `start` up to, without, `end`; at most `PAGE`."""
    rows = await connection.execute(_hashes(), {"start": start, "until": end})
    return [as_hash(row.hash) for row in rows]


@lru_cache
def _hashes() -> Select[Any]:
    start, until = bindparam("start", type_=BigInteger), bindparam("until", type_=BigInteger)
    between = and_(audit_entry.c.seq >= start, audit_entry.c.seq < until)
    return select(HASH).where(between).order_by(audit_entry.c.seq).limit(PAGE)


async def find(connection: AsyncConnection, seq: int) -> LoggedEntry | None:
    row = (await connection.execute(select(*ENTRY).where(audit_entry.c.seq == seq))).first()
    return None if row is None else logged(row)


class CheckpointState(NamedTuple):
    """What decides whether a checkpoint is due: the head, the last checkpoint, and the last completion of a job."""

    head: Frontier
    size: int
    at: datetime | None
    completed: int
    """Sequence number of the last `job.completed`; −1 where there is none."""


async def checkpoint_state(connection: AsyncConnection) -> CheckpointState:
    now = await head(connection)
    last = select(audit_checkpoint.c.size, as_found(audit_checkpoint.c.at)).where(audit_checkpoint.c.size <= now.size)
    row = (await connection.execute(last.order_by(audit_checkpoint.c.size.desc()).limit(1))).first()
    newest = select(func.max(audit_entry.c.seq)).where(audit_entry.c.what == str(Act.JOB_COMPLETED))
    completed = (await connection.execute(newest)).scalar()
    size, at = (0, None) if row is None else (row.size, as_moment(row.at))
    return CheckpointState(now, size, at, -1 if completed is None else completed)


async def keep_checkpoint(connection: AsyncConnection, size: int, at: datetime) -> None:
    """Notes that the checkpoint of this size lies in the bucket; another process may have noted it before."""
    noted = dialect.insert(connection, audit_checkpoint).values(size=size, at=at)
    await connection.execute(noted.on_conflict_do_nothing(index_elements=[audit_checkpoint.c.size]))
