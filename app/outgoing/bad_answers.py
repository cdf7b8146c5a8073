"""Says what is wrong with an answer that is not valid HTTP, for the operator of the server; never its content."""

import aiohttp

from app.outgoing.guard import LARGEST_HEAD, LARGEST_SILENCE, NotHttp, TooLarge

TEXTS = (
    ("expected http/", "the answer is not HTTP"),
    ("bad status line", "the status line of the answer is not valid"),
    ("duplicate content-length", "the answer has more than one Content-Length"),
    ("can't be present with", "the answer has both Content-Length and Transfer-Encoding"),
    ("content-length", "the Content-Length of the answer is not a number"),
    ("transfer-encoding", "the Transfer-Encoding of the answer is not valid"),
    ("chunk", "the answer has a chunk that is not valid"),
    ("header", "the answer has a header that is not valid"),
)
"""Part of the parser's message, in lower case, to ours; the first that fits."""


def is_bad_answer(error: BaseException) -> bool:
    """Whether the exception means that the answer is not valid HTTP, in whatever part."""
    return isinstance(error, aiohttp.ClientResponseError | NotHttp)


def fault_of(error: BaseException) -> str:
    """The text for an exception for which `is_bad_answer` holds."""
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, TooLarge):
        if cause.message == "headers":
            return f"the headers of the answer are larger than {LARGEST_HEAD // 1024} KiB"
        return f"the answer has more than {LARGEST_SILENCE // 1024} KiB between its chunks or behind them"
    message = str(cause).lower()  # the type may be lost on its way: aiohttp wraps it and drops the cause at times
    return next((text for part, text in TEXTS if part in message), "the answer is not valid HTTP")
