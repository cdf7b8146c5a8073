"""Reads rows of the audit log whatever somebody wrote into them: what cannot be read has no hash that fits.

SQLite keeps values of any type in any column.
"""

from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, case, type_coerce
from sqlalchemy.types import NullType

from app.db.tables import audit_entry
from app.domain.audit import Actor, BrokenHead, LoggedEntry
from app.domain.merkle import Frontier, unpacked

EARLIEST, LATEST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
"""PostgreSQL has times that Python has not."""

UNREADABLE = EARLIEST
"""Instead of what is no time."""

DEEP = 100
"""Brackets; beyond, the details may be nested deeper than JSON is written."""


def as_found(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The value as the driver gives it, under the name of its column."""
    return type_coerce(column, NullType()).label(getattr(column, "name", None))


_AT = case(
    (audit_entry.c.at < EARLIEST, EARLIEST), (audit_entry.c.at > LATEST, LATEST), else_=audit_entry.c.at
)  # fmt: skip
HASH = as_found(audit_entry.c.hash)

ENTRY = (
    *(each for each in audit_entry.c if each.name not in ("at", "hash")),
    type_coerce(_AT, NullType()).label("at"),
    HASH,
)
"""What `logged` reads."""


def logged(row: Any) -> LoggedEntry:
    who = Actor(*map(_text, (row.who_subject, row.who_name, row.who_ext_id, row.who_client)))
    what, subject = _text(row.what), _text(row.subject)
    at = as_moment(row.at) or UNREADABLE
    hash_ = as_hash(row.hash)
    return LoggedEntry(row.seq, at, who if any(who) else None, what or "", subject or "", _details(row.details), hash_)


def as_head(size: Any, frontier: Any) -> Frontier:
    """Raises BrokenHead."""
    try:
        if not isinstance(size, int) or not isinstance(frontier, bytes):
            raise TypeError
        return unpacked(size, frontier)
    except (ValueError, TypeError) as error:
        raise BrokenHead("the head of the log was changed: no log has such a head") from error


def as_hash(value: Any) -> bytes:
    return value if isinstance(value, bytes) else b""


def as_moment(value: Any) -> datetime | None:
    """None for what is no time as this service writes it."""
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    try:
        moment = datetime.fromisoformat(value)
        return moment.replace(tzinfo=UTC) if f"{moment:%Y-%m-%d %H:%M:%S.%f}" == value else None
    except (ValueError, TypeError):
        return None


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else f"unreadable: {value!r}"


def _details(text: Any) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        details = orjson.loads(text) if isinstance(text, str) else None
        if isinstance(details, dict):
            if text.count("{") + text.count("[") > DEEP:
                orjson.dumps(details)
            return details
    except (ValueError, TypeError):  # what orjson raises for both ways
        pass
    return {"unreadable": str(text)}
