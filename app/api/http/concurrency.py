"""ConcurrencyLimit: a number of requests of a kind at a time; some more may wait, all others get 503."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.api.http.problems import ApiProblem, try_later

ADMISSION_PATIENCE = 5.0
"""Seconds that one waits for its turn."""

CHANGES = 2
"""Changes of whole jobs (cancel, redrive, retry) at a time: each holds one of the ten connections to the database that
all else shares, for seconds where a job is large."""

PREFLIGHTS = 8
"""Preflights that wait for sources at the same time."""

RECONCILES = 4
"""Lists of references that are reconciled at the same time: each may use two gigabytes of temporary files."""


INCLUSIONS = 2
"""Inclusion proofs at a time: each reads and hashes the leaves of a whole job, for seconds where it is large."""


class ConcurrencyLimit:
    """`what` names the requests in the plural, for the message to a client that must try again."""

    def __init__(self, what: str, at_once: int, waiting: int, patience: float = ADMISSION_PATIENCE) -> None:
        self._what = what
        self._turns = asyncio.Semaphore(at_once)
        self._may_wait = waiting
        self._patience = patience

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Raises ApiProblem 503."""
        if self._may_wait <= 0 and self._turns.locked():
            raise busy(self._what)
        self._may_wait -= 1
        try:
            async with asyncio.timeout(self._patience):
                await self._turns.acquire()
        except TimeoutError:
            raise busy(self._what) from None
        finally:
            self._may_wait += 1
        try:
            yield
        finally:
            self._turns.release()


def busy(what: str) -> ApiProblem:
    return try_later(f"Too many {what} at once; send the same again.")
