"""Writes the report of a job as YAML, by hand, so that YAML 1.1, 1.2 and Ruby read it alike."""

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
    # Digits and whatever separates them, an exponent behind them too; not groups of digits with hyphens (2024-0001).
    r"(?![0-9]+(?:-[0-9]+)+\Z)(?=\D*\d|[.+])[\W\d_]*(?:[eE][-+]?[\d_.,]*)?"
    r"|[-+]?0(?:[xX][0-9a-fA-F_,.pP+-]*|[oO][0-7_,]*|[bB][01_,]*)"
    r"|(?i:[-+]?\.(?:inf|nan|na(?:\..*)?))"
    r"|-?[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ].*)?"
).fullmatch
"""What is, or looks like, a number or a time: some reader has a notation for it. Ruby's takes 1,000 for a thousand, and
YAML 1.1 has base 60 (1:30)."""
_INDICATORS = frozenset("-?:,[]{}#&*!|>'\"%@` ")
_BREAKS_PLAIN = re.compile(r":(?: |\Z)| #").search
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
).search
"""Characters that are printable in Unicode and yet invisible: fillers, joiners, variation selectors."""
_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}
_STATE_LINE = {state: f"    state: {state.value}\n" for state in TaskState}


def scalar(text: str) -> str:
    """A text as a value on one line: plain when every reader takes it for the same text, else in double quotes."""
    if _SAFE(text) and (len(text) > _LONGEST_WORD or text.lower() not in _WORDS):
        return text
    # Not printable for Python: control, format and unassigned characters, separators but the blank, half characters.
    seen = text.isprintable() and (text.isascii() or not _UNSEEN(text))
    if seen and _is_plain(text):
        return text
    shown = text.replace("\\", "\\\\").replace('"', '\\"') if seen else "".join(map(_escape, text))
    return f'"{shown}"'


def _is_plain(text: str) -> bool:
    """Whether a text, all of whose characters are visible, needs no quotes."""
    if not text or text[0] in _INDICATORS or text[-1] == " " or text.lower() in _WORDS:
        return False
    return not _NOT_A_TEXT(text) and not _BREAKS_PLAIN(text)


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
    """The lines of some tasks, in their order; the texts of pages can be joined."""
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


def _escape(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    if character.isprintable() and not _UNSEEN(character):
        return character
    code = ord(character)
    if 0xD800 <= code <= 0xDFFF:  # half a character (a token's claim may hold one): no YAML reader takes it
        return "\ufffd"
    return f"\\x{code:02X}" if code <= 0xFF else f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"
