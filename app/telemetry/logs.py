"""Logs on stderr: JSON lines, or short lines on a terminal; removes secrets and holds back repetitions."""

import logging
import os
import re
import sys
import time
from collections.abc import Mapping
from functools import lru_cache
from logging import LogRecord
from typing import TextIO

from pythonjsonlogger.orjson import OrjsonFormatter
from typing_extensions import override

from app.telemetry.once_per import OncePer

LEVEL_VARIABLE = "PAS_LOG_LEVEL"
FORMAT_VARIABLE = "PAS_LOG_FORMAT"

QUIET = ("aiokafka", "aiobotocore", "botocore", "aiohttp.access", "httpx", "httpcore", "uvicorn.access", "alembic")
"""Libraries that are logged from WARNING on: the metrics count requests, and their INFO lines are noise."""

CHATTY = ("aiokafka", "aiobotocore", "botocore", "opentelemetry", "urllib3", "asyncpg", "sqlalchemy")
"""Libraries that repeat the same line many times a second while their server is unavailable."""

REPEAT_SECONDS = 30.0
_BEARER = re.compile(r"(bearer|basic) +[\w.~+/=-]{8,}", re.IGNORECASE)
_USER_INFO = re.compile(r"://([^/\s:@\"]*):([^/\s@\"]*)@")
_SECRET_NAME = re.compile(r"password|secret|authorization|token", re.IGNORECASE)
_ENDS = str.maketrans({"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"})
"""Ends of lines for many readers of logs, escaped as JSON does."""
_PLAIN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class LogSettingError(ValueError):
    """A variable of the log has an invalid value; the text names both."""


def configure_logging(
    environment: Mapping[str, str] = os.environ, stream: TextIO | None = None, *, process: int | None = None
) -> None:
    """Sends all logging to `stream` (stderr), replacing what was configured before; call it once, at start.

    Every line names the `process` where it is one of several that share the stream.

    `PAS_LOG_LEVEL` is INFO unless set; `PAS_LOG_FORMAT` is `json` or `text`, by default text on a terminal only.
    Raises LogSettingError for another value of either.
    """
    stream = stream or sys.stderr
    level = environment.get(LEVEL_VARIABLE, "INFO").upper()
    if level not in logging.getLevelNamesMapping():
        raise LogSettingError(f"{LEVEL_VARIABLE}: {level!r} is not a level; use DEBUG, INFO, WARNING or ERROR")
    style = environment.get(FORMAT_VARIABLE) or ("text" if stream.isatty() else "json")
    if style not in ("text", "json"):
        raise LogSettingError(f"{FORMAT_VARIABLE}: {style!r} is neither text nor json")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter(process) if style == "text" else JsonFormatter(process))
    handler.addFilter(HoldBackRepeats(CHATTY))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(True)
    for name in [*logging.root.manager.loggerDict, *QUIET]:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate, logger.disabled = True, False
    if root.level > logging.DEBUG:
        for name in QUIET:
            logging.getLogger(name).setLevel(max(root.level, logging.WARNING))


class JsonFormatter(OrjsonFormatter):
    """One JSON object a line: `time`, `level`, `logger`, `message`, the extra fields, `exception`."""

    default_msec_format = "%s.%03dZ"

    def __init__(self, process: int | None = None) -> None:
        super().__init__(
            "{asctime}{levelname}{name}{message}",
            style="{",
            datefmt=None,
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger", "exc_info": "exception"},
            reserved_attrs=list(_PLAIN_FIELDS),
            static_fields={} if process is None else {"process": process},
        )
        self.converter = time.gmtime
        self.default_time_format = "%Y-%m-%dT%H:%M:%S"

    @override
    def format(self, record: LogRecord) -> str:
        return _on_one_line(blot_out(super().format(_without_secrets(record))))


class TextFormatter(logging.Formatter):
    """`10:16:49.123 INFO  jobs: job accepted (job_id=… references=3)`, local time."""

    default_msec_format = "%s.%03d"
    default_time_format = "%H:%M:%S"

    def __init__(self, process: int | None = None) -> None:
        number = "" if process is None else f"[{process}] "
        super().__init__(f"{{asctime}} {{levelname:<7}} {number}{{name}}: {{message}}{{extras}}", style="{")

    @override
    def format(self, record: LogRecord) -> str:
        record = _without_secrets(record)
        extras = " ".join(f"{name}={value}" for name, value in vars(record).items() if name not in _PLAIN_FIELDS)
        shown = logging.makeLogRecord(vars(record))
        shown.name = record.name.removeprefix("app.")
        shown.extras = f" ({extras})" if extras else ""
        return _on_one_line(blot_out(super().format(shown)))


def _on_one_line(text: str) -> str:
    return text if text.isascii() else text.translate(_ENDS)


class HoldBackRepeats(logging.Filter):
    """Lets each message of the named loggers (and of those below them) through once in `REPEAT_SECONDS`."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__()
        self._names = names
        self._due = OncePer(REPEAT_SECONDS)

    @override
    def filter(self, record: LogRecord) -> bool:
        if record.levelno < logging.INFO or record.name.partition(".")[0] not in self._names:
            return True
        return self._due((record.name, record.msg if isinstance(record.msg, str) else type(record.msg)))


def blot_out(line: str) -> str:
    """The line without bearer tokens and without passwords in URLs. No code logs them on purpose; errors may quote
    them."""
    if "earer " in line or "EARER " in line or "asic " in line:
        line = _BEARER.sub(r"\1 ***", line)
    if "://" in line:
        line = _USER_INFO.sub(r"://\1:***@", line)
    return line


def _without_secrets(record: LogRecord) -> LogRecord:
    """The record, or a copy in which extra fields that are named like a secret are removed."""
    named = [name for name in vars(record) if name not in _PLAIN_FIELDS and _names_a_secret(name)]
    if not named:
        return record
    return logging.makeLogRecord({**vars(record), **dict.fromkeys(named, "***")})


@lru_cache(maxsize=1024)
def _names_a_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None
