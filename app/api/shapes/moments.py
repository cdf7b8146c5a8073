"""Times as the API shows them: RFC 3339 in UTC, cut to milliseconds."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import PlainSerializer, WithJsonSchema


def timestamp(moment: datetime) -> str:
    """`2026-05-08T07:26:37.123Z`: UTC, cut to milliseconds. `moment` is aware."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


_DATE_TIME: dict[str, Any] = {"type": "string", "format": "date-time", "examples": ["2026-05-08T07:26:37.123Z"]}

Moment = Annotated[datetime, PlainSerializer(timestamp, when_used="json"), WithJsonSchema(_DATE_TIME)]
"""A time as JSON shows it, and as reports do."""
