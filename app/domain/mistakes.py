"""One mistake in input: its place, and what is wrong."""

from typing import NamedTuple


class Mistake(NamedTuple):
    """`path` such as `archiveDataReferences[3].id` ("" is the whole body).

    `line` counts from 1; None when there are no lines or the line is unknown. `message` says what is wrong and what is
    possible, never a secret.
    """

    path: str
    line: int | None
    message: str
