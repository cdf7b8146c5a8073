"""The outcome of each reference of a job, in pages."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from app.db import jobs, references
from app.db.database import Database
from app.domain.references import ReferenceStatus, WantedReferences
from app.jobs.control import UnknownJob
from app.jobs.failures import count_all

PAGE = 1_000
"""References of one page of a stream: about 20 ms of work between two turns of the event loop."""


@dataclass(frozen=True, slots=True)
class PageOfReferences:
    """`next` is the position after which the next page begins; None on the last page."""

    references: Sequence[ReferenceStatus]
    next: int | None


class JobReferences:
    """The references of jobs. Every method raises Unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def check(self, job_id: UUID, wanted: WantedReferences) -> None:
        """Call this before the first page. Raises UnknownJob."""
        async with self._database.reading() as connection:
            if await jobs.find(connection, job_id) is None:
                raise UnknownJob
        if wanted.cause is not None:
            await count_all(self._database, job_id)

    async def page(self, job_id: UUID, wanted: WantedReferences, after: int, limit: int) -> PageOfReferences:
        """Up to `limit` references after position `after` (−1 for the first page)."""
        async with self._database.reading() as connection:
            found = await references.page(connection, job_id, wanted, after, limit + 1)
        return PageOfReferences(found[:limit], found[limit - 1].position if len(found) > limit else None)

    async def begin_of_last(self, job_id: UUID, wanted: WantedReferences, before: int | None, limit: int) -> int | None:
        """The `after` of the last page, or of the page before position `before`; None where the filter has a prefix,
        as such references are not read backwards."""
        if wanted.prefix:
            return None
        async with self._database.reading() as connection:
            return await references.last(connection, job_id, wanted, before, limit)

    async def pages(
        self, job_id: UUID, wanted: WantedReferences, after: int
    ) -> AsyncIterator[Sequence[ReferenceStatus]]:
        """All references after position `after`. No transaction stays open between two pages, so later pages may show
        changes made meanwhile."""
        following: int | None = after
        while following is not None:
            page = await self.page(job_id, wanted, following, PAGE)
            if page.references:
                yield page.references
            following = page.next
