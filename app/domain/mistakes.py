"""One mistake in what somebody sent: where it is, and what is wrong with it."""

from typing import NamedTuple


class Mistake(NamedTuple):
    """`path` such as `archiveDataReferences[3].id` ("" is the whole body); `line` from 1, None where there is none or
    it is not known; `message` says what is wrong and what is possible, never a secret."""

    path: str
    line: int | None
    message: str
