"""Records whose schema is not known yet: they wait for the schema registry, apart from all other records."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence, Set
from typing import NamedTuple

from app.broker import Partition, Record
from app.broker.framing import Schemas
from app.domain.errors import InvalidMessage
from app.domain.readiness import SCHEMA_REGISTRY, Readiness
from app.messaging.offsets import Offsets
from app.outages import through_outages

FindSchema = Callable[[int], Awaitable[None]]
"""Returns once the schema with this id is known, or is known to be missing or unusable."""


class Taken(NamedTuple):
    """A polled record with the `Offsets` of its partition at the time of the poll; each assignment has new
    `Offsets`."""

    record: Record
    offsets: Offsets


async def find_schema(schemas: Schemas, readiness: Readiness, schema_id: int) -> None:
    """Returns once the schema is known, or known to be missing or unusable: decoding a record then raises the reason.

    Waits through outages of the registry.
    """

    async def find() -> None:
        with contextlib.suppress(InvalidMessage):
            await schemas.find(schema_id)

    await through_outages(readiness, SCHEMA_REGISTRY, find)


class WaitingForSchemas:
    """Looks up each schema once, in the background, and then hands over the records that wait for it.

    The mutable state: the waiting records and the look-up, by the id of their schema.
    """

    def __init__(self, find: FindSchema | None, on_found: Callable[[Sequence[Taken]], None]) -> None:
        self._find = find
        self._on_found = on_found
        self._waiting: dict[int, list[Taken]] = {}
        self._look_ups: dict[int, asyncio.Task[None]] = {}

    def number(self, apart_from: Set[Partition]) -> int:
        """How many records wait, without those of some partitions."""
        if not apart_from:
            return sum(map(len, self._waiting.values()))
        return sum(each.record.partition not in apart_from for several in self._waiting.values() for each in several)

    def add(self, schema_id: int, taken: Taken) -> None:
        self._waiting.setdefault(schema_id, []).append(taken)
        if schema_id not in self._look_ups:
            self._look_ups[schema_id] = asyncio.create_task(self._look_up(schema_id))

    def forget_revoked(self) -> None:
        """Drops the records of revoked partitions, and the look-ups that nobody waits for any more."""
        for schema_id, several in list(self._waiting.items()):
            self._waiting[schema_id] = [each for each in several if not each.offsets.revoked]
            if not self._waiting[schema_id]:
                del self._waiting[schema_id]
                self._look_ups.pop(schema_id).cancel()

    def check(self) -> None:
        """Raises the exception of a look-up that failed unexpectedly."""
        for look_up in self._look_ups.values():
            if look_up.done():
                look_up.result()

    def cancel(self) -> None:
        """Ends all look-ups; the records are delivered again, as their offsets are not committed."""
        for look_up in self._look_ups.values():
            look_up.cancel()
        self._waiting.clear()

    async def _look_up(self, schema_id: int) -> None:
        assert self._find is not None  # noqa: S101 - without a registry every schema is known
        await self._find(schema_id)
        del self._look_ups[schema_id]
        self._on_found(self._waiting.pop(schema_id, []))
