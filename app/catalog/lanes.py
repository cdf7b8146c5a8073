"""The lanes for checks of documents: the event loop, the worker for large documents, the worker for costly ones."""

from enum import StrEnum

LARGE_DOCUMENT = 256 * 1024
"""Bytes above which a document is checked and read in another process; one of this size takes about 4 ms."""


class Lane(StrEnum):
    """A worker process that works on one document at a time."""

    LARGE = "large"
    """Large documents, in time of their size."""
    COSTLY = "costly"
    """Documents, of any size, that may take much longer than others: they must not hold up the large ones."""


class Later(Exception):
    """The work would hold up others here: it must be done in that lane."""

    def __init__(self, lane: Lane) -> None:
        super().__init__(lane)
        self.lane = lane
