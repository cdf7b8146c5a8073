"""The meaning of an answer's status for the record and for its source."""

import aiohttp

from app.domain.errors import STEP_READ, NoArchiveData, PermanentFailure, TransientFailure, task_message
from app.sources.headers import retry_after

TRANSIENT = frozenset({408, 425, 429})
"""Statuses below 500 that may pass."""


class Unauthorized(PermanentFailure):
    """401: worth one more request with a new token."""


def check_status(response: aiohttp.ClientResponse) -> None:
    """Returns for 2xx with content; raises what the other statuses mean."""
    status = response.status
    if status == 204:
        raise NoArchiveData
    if status == 206:
        raise PermanentFailure(task_message(STEP_READ, "HTTP 206: a part of the document, which was not asked for"))
    if 200 <= status < 300:
        return
    cause = f"HTTP {status}"
    if status in TRANSIENT or 500 <= status < 600:
        throttled = status in (429, 503)
        wait = retry_after(response.headers.get("Retry-After"))
        raise TransientFailure(
            cause,
            retry_after=wait,
            unreachable=status >= 500 and not throttled,
            throttled=throttled,
            keeps_attempt=status == 429 or (status == 503 and wait is not None),
        )
    raise (Unauthorized if status == 401 else PermanentFailure)(task_message(STEP_READ, cause))
