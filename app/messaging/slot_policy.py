"""How many slots a lane may have: as many as its source takes; what asks no source has a share of its own."""

from collections.abc import Callable

from app.sources.pacing import SourcePacers

METADATA = "metadata"
"""Lane of the batches of metadata runs."""

DEAD_LETTERS = "dead letters"
PUTTING_BACK = "putting back"
NO_SOURCE = ""
"""Lanes of work that asks no source; the last is that of tasks whose archive type is no longer configured."""

BATCHES_AT_ONCE = 6
"""Batches of metadata runs that a process does at once when it has nothing to archive; more made a run no faster."""

Limit = Callable[[str, bool], int]
"""Most slots of a lane, given whether other lanes have work too."""


def slot_limit(pacers: SourcePacers, slots: int) -> Limit:
    """The limit of each lane where all lanes together have `slots`; those of sources are paced by `pacers`."""

    def limit(lane: str, others_have_work: bool) -> int:
        if lane == METADATA:  # what archiving leaves
            return 1 if others_have_work else max(1, min(BATCHES_AT_ONCE, slots // 4))
        if lane == DEAD_LETTERS:
            return max(1, slots // 4)
        if lane in (PUTTING_BACK, NO_SOURCE):
            return slots
        return pacers.limit(lane, others_have_work, slots)

    return limit
