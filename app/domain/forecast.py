"""The forecast of a job: bytes, time, end of the locks and cost, estimated from a sample. Arithmetic only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from math import sqrt
from statistics import fmean, stdev
from typing import NamedTuple

GIB = 1024**3
DAYS_PER_MONTH = 365.25 / 12


class Spread(NamedTuple):
    """An estimate: the likely value, and the bounds that contain the real one in about 95 of 100 cases."""

    low: float
    likely: float
    high: float


class Price(NamedTuple):
    per_gib_month: float
    currency: str


class Cost(NamedTuple):
    amount: float
    currency: str


class Pace(NamedTuple):
    """Requests to a source at the same time: the limit now, the limit that is expected soon, and the largest possible.

    `rest`: seconds until the source may be asked again.
    """

    now: int
    expected: int
    most: int
    rest: float = 0.0


class SampleResult(NamedTuple):
    """The result of one reference of the sample: `size` is 0 without a document; `seconds` of fetch, check and store.

    `retention_days` is None where objects are not locked.
    """

    size: int
    seconds: float
    retention_days: int | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """`bytes` is None when the sample has no document, `seconds` is None when it has no answer."""

    references: int
    bytes: Spread | None
    seconds: Spread | None
    ends: datetime
    """When the last reference is likely to be stored."""
    locked_until: date | None
    """The latest day on which an object of the job is still locked; None where objects are not locked."""
    cost: Cost | None
    """The cost of storage until `locked_until`; None when this day, the bytes or the price is not known."""

    def day_after(self, retention_days: int) -> date:
        """The day until which the last stored object is locked when its retention has so many days."""
        return (self.ends + timedelta(days=retention_days)).date()


ITSELF = Spread(0.001, 0.0015, 0.004)
"""Seconds that a process itself needs for a task (docs/benchmarks.md), however fast source and store are."""


def forecast(
    answers: Sequence[SampleResult], references: int, pace: Pace, price: Price | None, now: datetime
) -> Forecast:
    """`answers` has the references of the sample whose result is known; `now` is in UTC."""
    documents = any(answer.size for answer in answers)
    size = total([answer.size for answer in answers], references) if documents else None
    seconds = duration([answer.seconds for answer in answers], references, pace) if answers else None
    ends = now + timedelta(seconds=seconds.likely if seconds else 0.0)
    days = [answer.retention_days for answer in answers if answer.retention_days is not None]
    until = (ends + timedelta(days=max(days))).date() if days else None
    cost = None
    if price is not None and size is not None and until is not None:
        cost = cost_of(size.likely, (until - now.date()).days, price)
    return Forecast(references, size, seconds, ends, until, cost)


def total(sample: Sequence[float], references: int) -> Spread:
    """The sum over all references: the average of the sample times their number.

    The bounds are two standard errors away, more for a small sample (about Student's t); they equal the sum when the
    sample is the whole job. For a sample of one the bounds are half and double.
    """
    mean, count = fmean(sample), len(sample)
    likely = mean * references
    if count >= references:
        return Spread(likely, likely, likely)
    if count == 1:
        return Spread(max(likely / 2, mean), likely, likely * 2)
    error = stdev(sample) / sqrt(count) * sqrt((references - count) / (references - 1))
    bound = (2 + 3 / (count - 1)) * error * references
    least = max(min(sample) * references, sum(sample))  # the sample itself is certain
    return Spread(max(likely - bound, least), likely, likely + bound)


def duration(sample: Sequence[float], references: int, pace: Pace) -> Spread:
    """Seconds for one process that does nothing else, when each task takes as long as those of the sample.

    Low: with all its slots. Likely: with the requests at the same time that the source is expected to take. High: with
    the present limit of the source, and at most half of the slots, as while another source has work.
    """
    work = total(sample, references)
    now = min(pace.now, max(1, pace.most // 2))
    low = max(work.low / min(pace.most, references), ITSELF.low * references)
    likely = max(work.likely / min(pace.expected, references), ITSELF.likely * references)
    high = max(work.high / min(now, references), ITSELF.high * references)
    return Spread(low + pace.rest, likely + pace.rest, high + pace.rest)


def cost_of(size: float, days: int, price: Price) -> Cost:
    """The cost of so many bytes for so many days, rounded to hundredths; an amount below 1 to three digits."""
    amount = size / GIB * days / DAYS_PER_MONTH * price.per_gib_month
    return Cost(round(amount, 2) if amount >= 1 else float(f"{amount:.3g}"), price.currency)
