"""Shows the progress of a job: a moving bar on a terminal, few plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

from app.cli import job_texts
from app.cli.show import moment
from app.cli.streams import tell
from app.domain.visible import visible

STEPS = 10
"""Plain lines for a whole job in which nothing else happens."""

QUIET = 60.0
"""Seconds without a plain line after which one says that it goes on."""


class View(Protocol):
    def job(self, job: dict[str, Any], failures: Any) -> None:
        """Shows a snapshot; `failures` by cause, or None."""
        ...

    def broken(self, why: str) -> None:
        """Says that the connection is lost at the moment."""
        ...


@contextmanager
def view() -> Iterator[View]:
    """On standard error, so that standard output has data only."""
    if not sys.stderr.isatty():
        yield Plain()
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True, highlight=False), transient=True, refresh_per_second=4) as live:
        yield Moving(live)


class Plain:
    """A line where the state changes, after each tenth, and once a minute."""

    def __init__(self, write: Callable[[str], None] = tell, clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self._last_shown: tuple[Any, ...] | None = None
        self._step = 0
        self._at = 0.0

    def job(self, job: dict[str, Any], failures: Any) -> None:
        if job["state"] == "completed":
            return  # its last line goes to standard output
        total = int(job["counts"]["total"])
        done = job_texts.done(job)
        step = done * STEPS // max(total, 1)
        shown = (job_texts.state(job), job_texts.waiting(job).partition(";")[0])
        now = self._clock()
        if shown == self._last_shown and step <= self._step and now < self._at + QUIET:
            return
        self._last_shown, self._step, self._at = shown, step, now
        head = f"{job_texts.state(job)} {done:,}/{total:,} ({done * 100 // max(total, 1)}%)"
        parts = [head, job_texts.summary(job), job_texts.rate(job), _end(job), _waits(job)]
        self._write("; ".join(filter(None, parts)))

    def broken(self, why: str) -> None:
        if self._last_shown != (why,):
            self._last_shown = (why,)
            self._write(f"{why} Trying again …")


class Moving:
    """One bar with rate, estimated end and what is in the way; causes of failures below."""

    def __init__(self, live: Any) -> None:
        self._live = live
        self._shown: Any = None

    def job(self, job: dict[str, Any], failures: Any) -> None:
        self._shown = _drawn(job, failures)
        self._live.update(self._shown)

    def broken(self, why: str) -> None:
        from rich.console import Group
        from rich.text import Text

        note = Text(f"{visible(why)} Trying again …", style="yellow")
        self._live.update(note if self._shown is None else Group(self._shown, note))


def _drawn(job: dict[str, Any], failures: Any) -> Any:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    total, done = int(job["counts"]["total"]), job_texts.done(job)
    line = Table.grid(padding=(0, 1, 0, 0))
    state = job_texts.state(job)
    line.add_row(
        Text(state, style=_STYLES.get(state, "bold")),
        ProgressBar(total=max(total, 1), completed=done, width=30),
        Text(f"{done:,}/{total:,}"),
        Text(f"{done * 100 // max(total, 1)}%"),
        Text("  ".join(filter(None, [job_texts.rate(job), _end(job)])), style="dim"),
    )
    lines: list[Any] = [line, Text(visible(job_texts.summary(job)))]
    if waits := _waits(job):
        lines.append(Text(visible(waits), style="yellow"))
    causes = (failures or {}).get("causes", [])[: job_texts.SHOWN_CAUSES]
    return Group(*lines, *(_cause(each) for each in causes))


def _cause(cause: dict[str, Any]) -> Any:
    from rich.text import Text

    text = f"{cause['count']:>9,} × {visible(str(cause['cause']))}"
    return Text(text, style="red", overflow="ellipsis", no_wrap=True)


_STYLES = {"waiting": "bold yellow", "paused": "bold yellow", "failed": "bold red", "succeeded": "bold green"}


def _end(job: dict[str, Any]) -> str:
    """The estimated end, and the time until then."""
    end = job.get("estimatedEnd")
    if not isinstance(end, str):
        return ""
    left = (datetime.fromisoformat(end) - datetime.now(UTC)).total_seconds()
    return f"ends in about {job_texts.duration(max(left, 0))} ({moment(end)[11:]})"


def _waits(job: dict[str, Any]) -> str:
    if job.get("paused"):
        return f"paused {job_texts.by(job.get('pausedBy'), job.get('pausedAt'))}".strip()
    return f"waits for {text}" if (text := job_texts.waiting(job)) else ""
