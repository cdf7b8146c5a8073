"""Reads the body of a request up to a limit: a larger body is refused before or while it arrives."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from fastapi import Request

from app.api.http.concurrency import ADMISSION_PATIENCE, ConcurrencyLimit, busy
from app.api.http.problems import ApiProblem

SUBMISSIONS = "submissions"

AT_ONCE = 8
"""Submissions that are read and stored at the same time."""

WAITING = 100
"""Submissions that wait for their turn, with nothing of them in memory but what one read of the socket brought."""

BODIES = 4
"""Bodies of the largest size that may be in memory together; small ones count as what they have."""


async def read_body(request: Request, limit: int, media_types: Sequence[str], example: str = "") -> bytes:
    """The body.

    Raises ApiProblem 415 for another media type, which shows the `example`; 413 for more than `limit` bytes, announced
    or sent.
    """
    check_head(request, limit, media_types, example)
    return bytes(await _read(request, limit))


class Uploads:
    """Admits the bodies of submissions: a flood of them is answered with 503 instead of filling the memory."""

    def __init__(
        self, limit: int, *, at_once: int = AT_ONCE, waiting: int = WAITING, patience: float = ADMISSION_PATIENCE
    ):
        """`limit` is the size of one body."""
        self._limit = limit
        self._turns = ConcurrencyLimit(SUBMISSIONS, at_once, waiting, patience)
        self._free = BODIES * limit

    @asynccontextmanager
    async def body(self, request: Request, media_types: Sequence[str], example: str = "") -> AsyncIterator[bytearray]:
        """As `read_body`; its turn and memory are held until the block ends. Raises ApiProblem 503 when there is
        neither.

        The memory for the announced size is reserved before anything of the body is read; the rest while it arrives.
        """
        announced = check_head(request, self._limit, media_types, example)
        kept = 0

        def keep(size: int) -> None:
            nonlocal kept
            if (more := size - kept) > 0:
                if more > self._free:
                    raise busy(SUBMISSIONS)
                self._free -= more
                kept = size

        async with self._turns.one():
            try:
                keep(announced)
                yield await _read(request, self._limit, keep)
            finally:
                self._free += kept


def check_head(request: Request, limit: int, media_types: Sequence[str], example: str = "") -> int:
    """The size that the request announces, 0 when it announces none. Raises ApiProblem 415 and 413."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in media_types:
        given = f"not {media_type[:80]}" if media_type else "and no Content-Type was given"
        shown = f", with a body like {example}" if example else ""
        raise ApiProblem(
            415,
            f"The body must be {' or '.join(media_types)}, {given}; send Content-Type: {media_types[0]}{shown}",
            headers={"Accept": ", ".join(media_types)},
        )
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ApiProblem(
            415, "The body must be sent without Content-Encoding.", headers={"Accept-Encoding": "identity"}
        )
    announced = request.headers.get("content-length", "")
    if not announced.isdecimal():
        return 0
    if int(announced) > limit:
        raise too_large(limit)
    return int(announced)


async def _read(request: Request, limit: int, keep: Callable[[int], None] | None = None) -> bytearray:
    body = bytearray()
    async for chunk in request.stream():
        size = len(body) + len(chunk)
        if size > limit:
            raise too_large(limit)
        if keep is not None:
            keep(size)
        body += chunk
    return body


def too_large(limit: int) -> ApiProblem:
    return ApiProblem(
        413, f"The body is larger than {limit} bytes; send less at once.", headers={"Connection": "close"}
    )
