"""Cursors of lists: the list and the place where its next page begins, opaque to the caller."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from fastapi import Query

from app.api.http.problems import ApiProblem
from app.domain.mistakes import Mistake

Cursor = Annotated[str | None, Query(description="`next` of the page before", min_length=1, max_length=200)]
Limit = Annotated[int, Query(ge=1, le=1000, description="items of a page")]

MISTAKE = "must be the `next` of an earlier page of the same list"


class ListOf(StrEnum):
    """What a list lists: a cursor is for lists of the same only."""

    ARTIFACTS = "artifact"
    AUDIT = "audit"
    JOBS = "job"
    REFERENCES = "reference"
    RUNS = "run"
    RUN_ERRORS = "run-error"


def cursor_at(of: ListOf, place: str | int) -> str:
    return urlsafe_b64encode(f"{of}:{place}".encode()).decode().rstrip("=")


def place_of(of: ListOf, text: str) -> str:
    """The place that a cursor of such a list names. Raises ValueError."""
    listed, _, place = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().partition(":")
    if listed != of or cursor_at(of, place) != text:  # base64 is read over what does not belong to it
        raise ValueError("garbled, or of another list")
    return place


def started_cursor(of: ListOf, started: datetime, id_: UUID) -> str:
    """The cursor of a list that goes from the newest start to the oldest."""
    return cursor_at(of, f"{started.isoformat()} {id_}")


def read_started_cursor(of: ListOf, text: str | None) -> tuple[datetime, UUID] | None:
    """The place that a cursor names; None for the first page. Raises ApiProblem 400."""
    if text is None:
        return None
    try:
        started, _, id_ = place_of(of, text).partition(" ")
        begin = datetime.fromisoformat(started)
        if begin.tzinfo is None:
            raise ValueError
        place = begin.astimezone(UTC), UUID(id_)
        if started_cursor(of, *place) != text:
            raise ValueError
        return place
    except (ValueError, OverflowError):
        raise _bad_cursor() from None


def read_number_cursor(of: ListOf, text: str) -> int:
    """Raises ApiProblem 400."""
    try:
        place = place_of(of, text)
    except ValueError:
        raise _bad_cursor() from None
    if not place.isascii() or not place.isdigit() or len(place) > 19 or int(place) >= 2**63:
        raise _bad_cursor()
    return int(place)


def read_position_cursor(of: ListOf, text: str | None) -> int:
    """The position of an item; −1 for the first page. Raises ApiProblem 400."""
    if text is None:
        return -1
    position = read_number_cursor(of, text)
    if position >= 2**31:
        raise _bad_cursor()
    return position


def _bad_cursor() -> ApiProblem:
    return ApiProblem(400, errors=[Mistake("cursor", None, MISTAKE)])
