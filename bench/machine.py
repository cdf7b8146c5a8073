"""How busy the machine is with other work: that costs the measured processes cache and turns."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count() or 1

QUIET = 0.85
"""Share of the machine that is idle, from which on it counts as quiet."""


async def until_quiet(patience: float) -> None:
    """Waits until nothing else runs for a moment, or until the patience (seconds) is over."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        before = busy()
        await asyncio.sleep(0.5)
        if busy() - before < 0.5 * CORES * (1 - QUIET):
            return


class Foreign:
    """The share of the machine that others took since this was made."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._busy, self._own = busy(), own()

    def share(self) -> float:
        seconds = (time.monotonic() - self._started) * CORES
        return max(0.0, (busy() - self._busy) - (own() - self._own)) / seconds


def busy() -> float:
    """CPU seconds of the whole machine, kernel included, without idling and waiting for disks."""
    fields = [int(each) for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICKS


def own() -> float:
    """CPU seconds of this process and of all below it: servers, services, floors."""
    return sum(_seconds(pid) for pid in _below(os.getpid()))


def _below(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*"):
        for child in _children(task):
            yield from _below(child)


def _children(task: Path) -> list[int]:
    try:
        return [int(child) for child in (task / "children").read_text().split()]
    except OSError:
        return []


def _seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS
