"""How many references of a job ended in each part of its time, by outcome."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 240, 480, 1440)
"""Minutes that a part of a chart may have."""

PARTS = 60
"""Parts of a chart at most, unless it covers two months and more."""


class Reading(NamedTuple):
    """The counters of a job at the end of a minute (Unix time divided by 60 s)."""

    minute: int
    succeeded: int
    failed: int


class Part(NamedTuple):
    """What ended in a part of the time; `minute` is its first."""

    minute: int
    succeeded: int
    failed: int


@dataclass(frozen=True, slots=True)
class Course:
    """Parts of `step` minutes each, without gaps; none where nothing has ended yet."""

    step: int
    parts: tuple[Part, ...]


def course_of(readings: Sequence[Reading]) -> Course:
    """`readings` in their order. What ended between two of them counts in the minute of the later one."""
    if not readings:
        return Course(1, ())
    first, last = readings[0].minute, readings[-1].minute
    step = next((step for step in STEPS if (last - first) // step < PARTS), STEPS[-1])
    begin = first // step * step
    sums = [[0, 0] for _ in range((last - begin) // step + 1)]
    before = Reading(first, 0, 0)
    for each in readings:
        part = sums[(each.minute - begin) // step]
        part[0] += max(0, each.succeeded - before.succeeded)
        part[1] += max(0, each.failed - before.failed)
        before = each
    return Course(step, tuple(Part(begin + step * at, *part) for at, part in enumerate(sums)))
