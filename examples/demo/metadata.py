"""Metadata in the demonstration: a path is added while the service runs, and the values appear by themselves."""

import time
from pathlib import Path
from typing import Any

from examples.demo.command_line import CommandLine
from examples.demo.processes import DemoFailed

KEY = "summary"
LAST = '      - {key: first_reference, path: "references[0].url"}\n'
"""The last path of that message type in the example configuration."""

ASKED = "DoS"
WHERE = f"{KEY}~{ASKED}"
SHOWN = 3
"""Artifacts that are looked for, and how many of them are shown."""

STUCK = 120.0
"""Seconds after which the run counts as stuck; it takes one or two."""


def backfill_metadata(pas: CommandLine, archive_types: Path, artifacts: int, nulls: int) -> None:
    """Adds a path, waits for the run, shows what it did and some of the values, and checks their numbers."""
    before = archive_types.read_text()
    if before.count(LAST) != 1 or f"key: {KEY}," in before:
        raise DemoFailed(
            f"it adds the key {KEY} to config/archive-types.yml itself, which must be as the repository has it"
        )
    added = f"      - {{key: {KEY}, path: {KEY}}}\n"
    archive_types.write_text(before.replace(LAST, LAST + added))
    print(f"\nadded to {archive_types.name}, while the service runs: {added.strip()}", flush=True)
    run = _completed(pas)
    pas.show("metadata", "runs")
    counts = {name: run[name] for name in ("total", "processed", "updated", "null", "failed")}
    expected = {"total": artifacts, "processed": artifacts, "updated": artifacts, "null": nulls, "failed": 0}
    if run["state"] != "completed" or run["keys"] != [KEY] or counts != expected:
        raise DemoFailed(f"the run should be completed with {expected}: {run}")
    pas.show("artifacts", "search", "--where", WHERE, "--limit", str(SHOWN))
    found = pas.ask("artifacts", "search", "--where", WHERE, "--limit", str(SHOWN))
    if len(found) != SHOWN or any(ASKED not in artifact["metadata"][KEY] for artifact in found):
        raise DemoFailed(f"{SHOWN} artifacts with {ASKED} in their {KEY} were expected, there are {found}")


def _completed(pas: CommandLine) -> dict[str, Any]:
    """The run that the changed file set off, once it has ended."""
    deadline = time.monotonic() + STUCK
    while time.monotonic() < deadline:
        runs: list[dict[str, Any]] = pas.ask("metadata", "runs")
        if runs and runs[0]["state"] != "open":
            return runs[0]
        time.sleep(0.1)
    raise DemoFailed(f"no completed metadata run within {STUCK:.0f} s")
