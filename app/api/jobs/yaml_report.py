"""YAML out: the report of a job, written by hand, read alike by YAML 1.1 and 1.2."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from uuid import UUID

from app.api.shapes.moments import timestamp
from app.domain.jobs import Job, JobState, ReportedTask, TaskState

_SAFE = re.compile(
    # A letter first, or one after the digits that is in no number and no date: UUIDs and trace ids.
    r"(?:[A-Za-z]|(?!0[xX])[0-9][0-9_/.beotxzBEOTXZ-]*[acdf-np-suvwyACDF-NP-SUVWY])"
    r"[A-Za-z0-9_/.-]*(?: [A-Za-z0-9_/.-]+)*"
).fullmatch
"""Surely a text, unless it is one of the words: nearly every id and name ends here."""
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null", "~", "=", "<<"))
_LONGEST_WORD = 5
_NOT_A_TEXT = re.compile(
    r"[-+]?[0-9.][0-9_.:]*(?:[eE][-+]?[0-9_.]+)?"  # integers, floats, base 60; for YAML 1.1 even 1.2.3 is a float
    r"|[-+]?0[xX][0-9a-fA-F_]+|[-+]?0[oO][0-7_]+|[-+]?0[bB][01_]+"
    r"|[-+]?\.(?:inf|Inf|INF|nan|NaN|NAN)"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt \t].*)?"
).fullmatch
_INDICATORS = frozenset("-?:,[]{}#&*!|>'\"%@`")
_UNPRINTABLE = r"[^\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
"""For YAML 1.1, with the marks that end a line or start a file, and half characters."""
_BREAKS_PLAIN = re.compile(rf":[ \t]|[ \t]#|:$|{_UNPRINTABLE}").search
_ESCAPED = re.compile(rf"[\"\\]|{_UNPRINTABLE}")
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}
_STATE_LINE = {state: f"    state: {state.value}\n" for state in TaskState}


def scalar(text: str) -> str:
    """A text as a value on one line: plain where every reader takes it for the same text, else in double quotes."""
    if _SAFE(text) and (len(text) > _LONGEST_WORD or text.lower() not in _WORDS):
        return text
    # Unicode's blanks at the ends are content for YAML, but not for everyone who reads a report.
    if text and text == text.strip() and text[0] not in _INDICATORS and text.lower() not in _WORDS:
        plain = not _NOT_A_TEXT(text) and not _BREAKS_PLAIN(text)
    else:
        plain = False
    return text if plain else f'"{_ESCAPED.sub(_escape, text)}"'


_message = lru_cache(maxsize=256)(scalar)
"""Failures of one job mostly have the same few causes."""


def report_head(job: Job, *, empty: bool = False, retries: Sequence[UUID] | None = None) -> bytes:
    """Everything before the first reference; `empty` where none follows (a filter left none). `retries`: the report is
    over these jobs too."""
    lines = [f"message: {scalar(job.message)}", f"topic: {scalar(job.topic)}"]
    if job.config_id is not None:
        lines.append(f"config-id: {scalar(job.config_id)}")
    lines.append(f"job-state: {job.state.value}")
    if job.result is not None:
        lines.append(f"job-result: {job.result.value}")
    lines.append(f"job-id: {job.id}")
    if retries is not None:
        lines += ["retries:", *(f"  - {each}" for each in retries)] if retries else ["retries: []"]
    lines.append(f"started: {timestamp(job.started)}")
    if job.state is JobState.COMPLETED and job.completed is not None:
        lines.append(f"report-created: {timestamp(job.completed)}")
    if job.started_by_name is not None:
        lines.append(f"started-by-name: {scalar(job.started_by_name)}")
    if job.started_by_ext_id is not None:
        lines.append(f"started-by-ext_id: {scalar(job.started_by_ext_id)}")
    lines.append("archiveDataReferences: []\n" if empty else "archiveDataReferences:\n")
    return "\n".join(lines).encode()


def report_tasks(tasks: Iterable[ReportedTask]) -> bytes:
    """The lines of some tasks, in their order; pages can be put one after the other."""
    parts: list[str] = []
    for task in tasks:
        id_, version = task.reference
        parts.append(f"  - id: {scalar(id_)}\n")
        if version is not None:
            parts.append(f"    version: {version}\n")
        parts.append(_STATE_LINE[task.state])
        if task.state is TaskState.FAILED:
            parts.append(_error(task))
    return "".join(parts).encode()


def _error(task: ReportedTask) -> str:
    lines = ""
    if task.message is not None:
        lines += f"      message: {_message(task.message)}\n"
    if task.trace_id is not None:
        lines += f"      traceId: {scalar(task.trace_id)}\n"
    return f"    error:\n{lines}" if lines else ""


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    if character in _SHORT:
        return _SHORT[character]
    code = ord(character)
    if 0xD800 <= code <= 0xDFFF:  # half a character (a token's claim may hold one): no YAML reader takes it
        return "\ufffd"
    return f"\\x{code:02X}" if code <= 0xFF else f"\\u{code:04X}"
