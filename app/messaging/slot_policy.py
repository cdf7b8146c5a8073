"""The number of slots for each lane: as many as its source can take; work without a source has a share of its own."""

from collections.abc import Callable

from app.sources.pacing import SourcePacers

METADATA = "metadata"
"""The lane for the batches of metadata runs."""

PAYLOADS = "payloads"
"""The lane for documents that were in their messages: they ask no source."""

DEAD_LETTERS = "dead letters"
PUTTING_BACK = "putting back"
NO_SOURCE = ""
"""The lanes of work that asks no source; `NO_SOURCE` is for tasks whose archive type is no longer configured."""

BATCHES_AT_ONCE = 6
"""Batches of metadata runs that a process does at the same time when it archives nothing; more did not make a run
faster."""

LaneLimit = Callable[[str, bool], int]
"""The largest number of slots for a lane, given whether other lanes have work too."""


def slot_limit(pacers: SourcePacers, slots: int) -> LaneLimit:
    """The limit of each lane when all lanes together have `slots`; `pacers` limit the lanes of sources."""

    def limit(lane: str, others_have_work: bool) -> int:
        if lane == METADATA:  # what archiving leaves
            return 1 if others_have_work else max(1, min(BATCHES_AT_ONCE, slots // 4))
        if lane == DEAD_LETTERS:
            return max(1, slots // 4)
        if lane == PAYLOADS:
            return max(1, slots // 2) if others_have_work else slots
        if lane in (PUTTING_BACK, NO_SOURCE):
            return slots
        return pacers.limit(lane, others_have_work, slots)

    return limit
