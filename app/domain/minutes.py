"""How many references ended, and how many requests a source could get, in each part of the time that a chart shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 240, 480, 1440)
"""Minutes that a part of a chart may have."""

DAY = 24 * 60
"""Minutes of a day."""

PARTS = 60
"""Parts of a chart at most, unless it covers two months and more."""


def minute_of(moment: datetime) -> int:
    """The minute that a moment is in: Unix time divided by 60 s."""
    return int(moment.timestamp() // 60)


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


class Allowance(NamedTuple):
    """What a source could get in a part of the time, of all processes: `limit` is the smallest number of requests at
    once that was allowed, None where no process ran; `in_flight` the largest number that was seen under way."""

    minute: int
    limit: int | None
    in_flight: int


@dataclass(frozen=True, slots=True)
class SourceCourse:
    """Parts of `step` minutes each, without gaps. `name`: the archive types of the source."""

    name: str
    step: int
    parts: tuple[Allowance, ...]


@dataclass(frozen=True, slots=True)
class ChartSpan:
    """`count` parts of `step` minutes each; `begin` is the first minute."""

    begin: int
    step: int
    count: int

    @property
    def minutes(self) -> range:
        """The first minute of each part."""
        return range(self.begin, self.begin + self.count * self.step, self.step)


def span_of(first: int, last: int) -> ChartSpan:
    """The parts in which the minutes from `first` to `last` are."""
    step = next((step for step in STEPS if (last - first) // step < PARTS), STEPS[-1])
    begin = first // step * step
    return ChartSpan(begin, step, (last - begin) // step + 1)


def course_of(readings: Sequence[Reading]) -> Course:
    """`readings` in their order. What ended between two of them counts in the minute of the later one."""
    if not readings:
        return Course(1, ())
    first = readings[0].minute
    span = span_of(first, readings[-1].minute)
    ended = []
    before = Reading(first, 0, 0)
    for each in readings:
        succeeded, failed = each.succeeded - before.succeeded, each.failed - before.failed
        ended.append(Part(each.minute, max(0, succeeded), max(0, failed)))
        before = each
    return course_in(span, ended)


def course_in(span: ChartSpan, ended: Sequence[Part]) -> Course:
    """What ended at these minutes of the span, added up."""
    sums = [[0, 0] for _ in range(span.count)]
    for each in ended:
        part = sums[(each.minute - span.begin) // span.step]
        part[0] += each.succeeded
        part[1] += each.failed
    return Course(span.step, tuple(Part(at, *part) for at, part in zip(span.minutes, sums, strict=True)))
