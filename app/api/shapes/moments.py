"""Times as the API shows them, RFC 3339 in UTC, cut to milliseconds, and as it takes them in queries."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import PlainSerializer, WithJsonSchema


def timestamp(moment: datetime) -> str:
    """`2026-05-08T07:26:37.123Z`: UTC, cut to milliseconds. `moment` is aware."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def moment_of(text: str) -> datetime:
    """The time that a text of a query stands for; a date stands for the beginning of that day in UTC.

    A `+` that was not percent-encoded arrives as a blank. Raises ValueError.
    """
    text = re.sub(r" (?=[0-9]{2}:?[0-9]{2}$)", "+", text) if "T" in text else text
    try:
        found = datetime.fromisoformat(text)
        if len(text) > 10 and found.tzinfo is None:
            raise ValueError
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError("must be a time with its offset, like 2026-05-08T07:26:37Z, or a date (UTC)") from None


_DATE_TIME: dict[str, Any] = {"type": "string", "format": "date-time", "examples": ["2026-05-08T07:26:37.123Z"]}

Moment = Annotated[datetime, PlainSerializer(timestamp, when_used="json"), WithJsonSchema(_DATE_TIME)]
"""A time as JSON shows it, and as reports do."""
