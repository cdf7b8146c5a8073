"""Lists that go from the newest start to the oldest, page by page."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, Table, and_, or_, select


def newest_first(of: Table, before: tuple[datetime, UUID] | None, limit: int) -> Select[Any]:
    """Up to `limit` rows of a table with `started` and `id`, after the row that `before` names."""
    statement = select(of).order_by(of.c.started.desc(), of.c.id.desc()).limit(limit)
    if before is None:
        return statement
    started, id_ = before
    return statement.where(or_(of.c.started < started, and_(of.c.started == started, of.c.id < id_)))
