"""Computes what may be committed: the offset below which every record of a partition is settled in the database."""

from collections import deque

from app.broker import Partition, Record


class Offsets:
    """The unsettled records of one partition, for as long as the partition is assigned to this process.

    The mutable state: the offsets of taken records in order; the settled ones among them that wait for an earlier
    record; the offset that may be committed, and the one that was committed last. Records themselves are not kept:
    there may be very many.
    """

    def __init__(self, partition: Partition) -> None:
        self.partition = partition
        self.revoked = False
        self._taken: deque[int] = deque()
        self._settled: set[int] = set()
        self._next: int | None = None
        self._committed: int | None = None

    def take(self, record: Record) -> None:
        """Adds a record. Records arrive in the order of their offsets."""
        self._taken.append(record.next_offset)

    def settle(self, record: Record) -> None:
        """Marks a record as settled, in any order; an offset may be committed once all records below it are settled."""
        self._settled.add(record.next_offset)
        while self._taken and self._taken[0] in self._settled:
            self._next = self._taken.popleft()
            self._settled.discard(self._next)

    @property
    def due(self) -> int | None:
        """The offset to commit, or None when it has not moved since the last commit."""
        return self._next if self._next != self._committed else None

    def committed(self, offset: int) -> None:
        self._committed = offset
