"""Where the live flow begins in topics that it never consumed: the same for all processes, kept in the database."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from app.broker import Bounds
from app.db import live_starts
from app.db.database import Database

MISSING = -1
"""The partition under which a topic is noted that did not exist when it was first looked for: all of it is new."""


class KeptBeginnings:
    """A topic that is consumed for the first time begins behind the last record of each partition, as it is at that
    moment; `earliest`: with the first one. Partitions that appear later begin with their first record."""

    def __init__(self, database: Database, *, earliest: bool) -> None:
        self._database = database
        self._earliest = earliest

    async def of(self, topic: str, wanted: Collection[int], bounds: Mapping[int, Bounds]) -> Mapping[int, int]:
        """See `broker.Beginnings`."""

        async def begin(connection: AsyncConnection) -> dict[int, int]:
            now = datetime.now(UTC)
            if not await live_starts.starts(connection, topic):
                at = {number: each.first if self._earliest else each.end for number, each in bounds.items()}
                await live_starts.begin(connection, topic, at, now)
            known = await live_starts.starts(connection, topic)
            new = {number: bounds[number].first for number in wanted if number not in known}
            await live_starts.begin(connection, topic, new, now)
            known = await live_starts.starts(connection, topic)
            return {number: known[number] for number in wanted}

        return await self._database.run(begin)

    async def missing(self, topic: str) -> None:
        """See `broker.Beginnings`."""

        async def note(connection: AsyncConnection) -> None:
            if not await live_starts.starts(connection, topic):
                await live_starts.begin(connection, topic, {MISSING: 0}, datetime.now(UTC))

        await self._database.run(note)
