"""Cursors of lists: the place where the next page begins, opaque to the caller."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query

from app.api.http.problems import ApiProblem
from app.domain.mistakes import Mistake

Cursor = Annotated[str | None, Query(description="`next` of the page before", min_length=1, max_length=200)]
Limit = Annotated[int, Query(ge=1, le=1000, description="items of a page")]


def started_cursor(started: datetime, id_: UUID) -> str:
    """The cursor of a list that goes from the newest start to the oldest."""
    return urlsafe_b64encode(f"{started.isoformat()} {id_}".encode()).decode().rstrip("=")


def read_started_cursor(text: str | None) -> tuple[datetime, UUID] | None:
    """The place that a cursor names; None for the first page. Raises ApiProblem 400."""
    if text is None:
        return None
    try:
        started, _, id_ = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition(" ")
        begin = datetime.fromisoformat(started)
        if begin.tzinfo is None:
            raise ValueError
        place = begin.astimezone(UTC), UUID(id_)
        if started_cursor(*place) != text:  # base64 is read over what does not belong to it
            raise ValueError
        return place
    except (ValueError, OverflowError):
        raise _bad_cursor() from None


def read_number_cursor(text: str) -> int:
    """Raises ApiProblem 400."""
    if not text.isascii() or not text.isdigit() or len(text) > 19 or int(text) >= 2**63:
        raise _bad_cursor()
    return int(text)


def read_position_cursor(text: str | None) -> int:
    """The position of an item; −1 for the first page. Raises ApiProblem 400."""
    if text is None:
        return -1
    position = read_number_cursor(text)
    if position >= 2**31:
        raise _bad_cursor()
    return position


def _bad_cursor() -> ApiProblem:
    return ApiProblem(400, errors=[Mistake("cursor", None, "must be the `next` of an earlier page of the same list")])
