"""Where a document is checked: in the event loop, beside other large ones, or by itself."""

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
    """This would keep others waiting: it is to be done in that lane."""

    def __init__(self, lane: Lane) -> None:
        super().__init__(lane)
        self.lane = lane
