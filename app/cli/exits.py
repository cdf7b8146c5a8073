"""How a command ends: its exit codes, and the errors that end it with readable lines."""

from enum import IntEnum
from typing import NoReturn


class Exit(IntEnum):
    WELL = 0
    REFUSED = 1
    """Refused or failed; a file that cannot be read too."""
    USAGE = 2
    FAILED_REFERENCES = 3
    """`watch` or `--wait` saw the end of a job, and references of it had failed; `reconcile` found gaps."""
    INTERRUPTED = 130


class Ended(Exception):
    """Ends the command: `lines` go to standard error, the first one says what is wrong, the others the way out."""

    def __init__(self, *lines: str, code: Exit = Exit.REFUSED) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.code = code


class NoAnswer(Ended):
    """The service could not be reached; the same request may succeed later."""


class Answered(Ended):
    """The service answered with an error; `status` is that of HTTP, `mistakes` the `errors` of the problem."""

    def __init__(
        self, *lines: str, status: int, detail: str = "", mistakes: tuple[dict[str, object], ...] = ()
    ) -> None:
        super().__init__(*lines)
        self.status = status
        self.detail = detail
        self.mistakes = mistakes


def perhaps(error: Ended, option: str) -> Ended:
    """The error of a request that the service may have received; `option` makes a repeat of the command harmless."""
    return Ended(
        *error.lines, f"Whether it arrived is not known. The same again is harmless: {option}", code=error.code
    )


def wrong_usage(*lines: str) -> NoReturn:
    """Raises Ended with exit code 2."""
    raise Ended(*lines, code=Exit.USAGE)
