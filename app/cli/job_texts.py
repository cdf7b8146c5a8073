"""The texts about a job: its state, its counts, what it waits for, why references failed."""

from collections.abc import Iterable
from typing import Any

from app.cli.show import Column, Row, cell, column, member, moment

SHOWN_CAUSES = 5
"""Causes of failures in one line; all are in `pas jobs failures`."""


def number(count: int, what: str) -> str:
    """`1 reference`, `4,100 references`."""
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def state(job: Row) -> str:
    """One word or two: `paused` and `waiting` go before `open`, the result stands for `completed`."""
    if job.get("state") == "completed":
        return "cancelled" if job.get("cancelledAt") else str(job.get("result") or "completed")
    if job.get("paused"):
        return "paused"
    return "waiting" if job.get("waiting") else str(job.get("state"))


def done(job: Row) -> int:
    return int(job["counts"]["succeeded"]) + int(job["counts"]["failed"])


def waiting(job: Row) -> str:
    """What it waits for, since when, why; empty where it goes on."""
    found = job.get("waiting")
    if not isinstance(found, dict):
        return ""
    what, name = found.get("for"), found.get("name")
    text = str(what) if name in (None, what) else f"{what} {name}"
    if found.get("since"):
        text += f" since {moment(found['since'])}"
    if found.get("reason"):
        text += f": {found['reason']}"
    if found.get("nextTry"):
        text += f"; next try {moment(found['nextTry'])}"
    return text


def duration(seconds: float) -> str:
    """`14 s`, `3 min 05 s`, `2 h 10 min`, `3 d 4 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def rate(job: Row) -> str:
    found = job.get("rate")
    return "" if found is None else f"{float(found):,.1f} a second"


def by(name: Any, at: Any) -> str:
    """`2026-05-08 07:26:37 by Dora`."""
    return "" if at is None else moment(at) + (f" by {name}" if name else "")


def causes(failures: Any, most: int = SHOWN_CAUSES) -> str:
    """`62 × HTTP 404, 27 × …`, most first; empty where there are none."""
    found = failures.get("causes") if isinstance(failures, dict) else None
    if not found:
        return ""
    shown = [f"{each['count']:,} × {each['cause']}" for each in found[:most]]
    rest = sum(each["count"] for each in found[most:]) + int(failures.get("others") or 0)
    return "; ".join(shown + ([f"{rest:,} × other causes"] if rest else []))


def summary(job: Row, failures: Any = None) -> str:
    """`4,011 archived; 89 failed: 62 × HTTP 404; 27 × …`."""
    counts = job["counts"]
    parts = [f"{counts['succeeded']:,} archived"]
    if counts["failed"]:
        why = causes(failures)
        parts.append(f"{counts['failed']:,} failed" + (f": {why}" if why else ""))
    if counts["open"]:
        nothing = counts.get("noDataYet") or 0
        parts.append(f"{counts['open']:,} open" + (f" ({nothing:,} without data yet)" if nothing else ""))
    return "; ".join(parts)


def message(job: Row) -> str:
    """`DecreeIssuedEvent (annex)`: the message type, and which of its configurations where it has several."""
    return str(job["message"]) + (f" ({job['configId']})" if job.get("configId") else "")


LIST: tuple[Column, ...] = (
    column("JOB", "jobId"),
    Column("MESSAGE", message, narrow="cut"),
    Column("STATE", state),
    Column("DONE", lambda job: f"{done(job):,}/{job['counts']['total']:,}", right=True),
    column("FAILED", "counts.failed", right=True),
    Column("STARTED", lambda job: moment(job.get("started"))),
    Column("BY", lambda job: cell(job.get("startedByName") or job.get("startedByExtId")), narrow="cut"),
)


def list_columns(jobs: Iterable[Row]) -> tuple[Column, ...]:
    """Names of jobs only where some have one."""
    return (LIST[0], column("NAME", "name", narrow="cut"), *LIST[1:]) if any(job.get("name") for job in jobs) else LIST


def lines(job: Row, failures: Any = None) -> list[tuple[str, str]]:
    """Everything worth reading of one job."""
    who = job.get("startedByName") or job.get("startedByExtId")
    return [
        ("job", str(job["jobId"])),
        ("name", job.get("name") or ""),
        ("message", message(job)),
        ("kind", job.get("kind") or ""),
        ("state", state(job)),
        ("references", f"{job['counts']['total']:,}: {summary(job)}"),
        ("failures", _below(causes(failures))),
        ("waits for", waiting(job)),
        ("rate", "" if job.get("state") == "completed" else rate(job)),
        ("estimated end", moment(job.get("estimatedEnd"))),
        ("started", by(who, job.get("started"))),
        ("paused", by(job.get("pausedBy"), job.get("pausedAt"))),
        ("cancelled", by(job.get("cancelledBy"), job.get("cancelledAt"))),
        ("completed", moment(job.get("completed"))),
        ("retry of", job.get("retryOf") or ""),
        ("retries", ", ".join(job.get("retries") or ())),
        ("trace", job.get("traceId") or ""),
        ("done to it", "\n".join(_action(each) for each in job.get("actions") or ())),
    ]


def _below(text: str) -> str:
    return text.replace("; ", "\n")


def _action(action: Row) -> str:
    return f"{action.get('what')} {by(action.get('by'), action.get('at'))}".strip()


REFERENCES: tuple[Column, ...] = (
    Column("POSITION", lambda row: str(member(row, "position")), right=True),  # not 1,234: one asks with it
    column("ID", "id", narrow="fold"),
    Column("VERSION", lambda row: "–" if row.get("version") is None else str(row["version"]), right=True),
    column("STATE", "state"),
    column("ATTEMPTS", "attempts", right=True),
    Column("FINISHED", lambda row: moment(row.get("finishedAt"))),
    Column("ARTIFACT", lambda row: str(member(row, "object.artifactId") or "–"), right=True),
    column("ERROR", "error.message", narrow="fold"),
)

FAILURES: tuple[Column, ...] = (
    column("COUNT", "count", right=True),
    column("CAUSE", "cause", narrow="fold"),
    Column("FIRST", lambda row: moment(row.get("first"))),
    Column("LAST", lambda row: moment(row.get("last"))),
    Column("EXAMPLES", lambda row: ", ".join(str(each.get("id")) for each in row.get("examples") or ()), narrow="cut"),
)
