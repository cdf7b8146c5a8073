"""The sample of a preflight: which references of a job it has, and what would become of each."""

from dataclasses import dataclass
from enum import StrEnum

from app.domain.archive_types import SchemaName
from app.domain.jobs import Reference

SAMPLE = 5
"""References of the sample where nobody says how many: the first, the last, and some between."""

SMALL_JOB = 20
"""References of a job of which all are the sample then."""

LARGEST_SAMPLE = 50


class Verdict(StrEnum):
    WOULD_SUCCEED = "would-succeed"
    WOULD_FAIL = "would-fail"
    NO_DATA = "no-data"
    """The source has nothing yet: the task would stay open."""
    NOT_SURE = "not-sure"
    """The source did not answer, failed in a way that may pass, or asked for a pause."""


@dataclass(frozen=True, slots=True)
class SampledReference:
    """The expected outcome of one reference.

    `message` is the message of the failed task. `bucket` and the fields up to `present` are set for a document that
    would be stored. `present`: an object with the same content is in the store already. `seconds`: how long it took
    from the request on, where it is known what would become of the reference.
    """

    reference: Reference
    verdict: Verdict
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
    """The positions of the sample, evenly spread over the references. `wanted`: how many; None: 5, or all of a small
    job."""
    count = (total if total <= SMALL_JOB else SAMPLE) if wanted is None else min(wanted, total)
    if count == 1:
        return [0]
    return [round(number * (total - 1) / (count - 1)) for number in range(count)]
