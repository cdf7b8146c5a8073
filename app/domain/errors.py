"""The ways in which a task can fail, decided once where they are known: permanent, transient, waiting, no data."""

STEP_READ = "Failed reading artifact from source service"
STEP_STORE = "Failed storing artifact"
STEP_ANNOUNCE = "Failed publishing archived artifact event"

MAX_MESSAGE = 1000
"""Characters of the message of a failed task (contract, section 5)."""


class PermanentFailure(Exception):
    """This record cannot be archived, however often it is tried; the task fails with this message.

    The message starts with the step and ends with the cause; it contains no secret, no value of the document and not
    the address of the source.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class TransientFailure(Exception):
    """An attempt at the source failed in a way that may pass: connection, timeout, 408, 425, 429, 5xx.

    `cause` is the text without step (`HTTP 503`, `read timed out after 5s`); `retry_after` are the seconds the source
    asked for; `unreachable` marks a source that did not answer at all or answered 5xx (pacing goes down to one at a
    time), `throttled` one that asked for fewer requests (429, 503). `no_connection`: there was no connection to the
    source, or no token for it. `keeps_attempt`: the failure says nothing about the record, so no attempt is used up
    (`no_connection`, 429, 503 with `Retry-After`).
    """

    def __init__(
        self,
        cause: str,
        *,
        retry_after: float | None = None,
        unreachable: bool = False,
        throttled: bool = False,
        no_connection: bool = False,
        keeps_attempt: bool = False,
    ) -> None:
        super().__init__(cause)
        self.cause = cause
        self.retry_after = retry_after
        self.unreachable = unreachable
        self.throttled = throttled
        self.no_connection = no_connection
        self.keeps_attempt = keeps_attempt or no_connection


class NoArchiveData(Exception):
    """The source has no data for the reference (204, or 200 without a body): the task stays open."""


class Unavailable(Exception):
    """A component that every task needs refuses or is unavailable; the work waits, and no task fails because of it.

    `component` is the word used by /health/ready and the log: `database`, `broker`, `objectstore`, `issuer`,
    `schema-registry`.
    """

    public_reason = "cannot be reached at the moment"
    """What callers read about the component; the reason is for operators."""

    def __init__(self, component: str, reason: str) -> None:
        super().__init__(f"{component}: {reason}")
        self.component = component
        self.reason = reason


class NotPrepared(Unavailable):
    """The component is available, and the tables or other things that the service needs in it are being made."""

    public_reason = "is being prepared"


class StartRefused(Exception):
    """The service cannot run with this configuration; the message says why and what to do."""


class InvalidMessage(Exception):
    """A record that can never be handled: it goes to the dead letter topic with this reason, and is never retried."""


def task_message(step: str, cause: str) -> str:
    """`<step>: <cause>` on one line, at most 1,000 characters, the end of the cause kept (`(4 attempts)`)."""
    text = " ".join(f"{step}: {cause}".split())
    if len(text) <= MAX_MESSAGE:
        return text
    tail = text[-200:]
    return text[: MAX_MESSAGE - len(tail) - 3] + "..." + tail
