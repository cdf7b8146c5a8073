"""The sample of a preflight: its references, and the expected outcome of each."""

from dataclasses import dataclass
from enum import StrEnum

from app.domain.archive_types import SchemaName
from app.domain.jobs import Reference

SAMPLE = 5
"""References of the sample by default: the first, the last, and some between."""

SMALL_JOB = 20
"""References up to which the default sample is the whole job."""

LARGEST_SAMPLE = 50


class SampleVerdict(StrEnum):
    WOULD_SUCCEED = "would-succeed"
    WOULD_FAIL = "would-fail"
    NO_DATA = "no-data"
    """The source has nothing yet: the task would stay open."""
    NOT_SURE = "not-sure"
    """The source did not answer, failed transiently, or asked for a pause."""


@dataclass(frozen=True, slots=True)
class SampledReference:
    """The expected outcome of one reference.

    `message` is the message of the failed task. `bucket` and the fields up to `present` are set for a document that
    would be stored. `present`: an object with the same content is in the store already. `seconds`: the time from the
    request to the outcome; None when the outcome is not known.
    """

    reference: Reference
    verdict: SampleVerdict
    message: str | None = None
    bucket: str | None = None
    key: str | None = None
    schema: SchemaName | None = None
    content_type: str | None = None
    size: int | None = None
    retention_days: int | None = None
    present: bool | None = None
    seconds: float | None = None


def places(total: int, wanted: int | None = None) -> list[int]:
    """The positions of the sample, evenly spread over the references. `wanted`: their number; None: the default."""
    count = (total if total <= SMALL_JOB else SAMPLE) if wanted is None else min(wanted, total)
    if count == 1:
        return [0]
    return [round(number * (total - 1) / (count - 1)) for number in range(count)]
