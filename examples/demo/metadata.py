"""Metadata in the demonstration: a path is added while the service runs, and the values appear by themselves."""

import time
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from examples.demo.jobs import STUCK
from examples.demo.processes import DemoFailed

MESSAGE = "OsvRecordPublishedEvent"
KEY = "summary"
LAST = '      - {key: first_reference, path: "references[0].url"}\n'
"""The last path of that message type in the example configuration."""

SHOWN = 5
"""Artifacts with a value, and as many without, that the table has."""

WIDTH = 80


def backfill_metadata(client: httpx.Client, archive_types: Path, artifacts: int, nulls: int) -> None:
    """Adds a path, waits for the run, prints what it did and some of the values, and checks their numbers."""
    before = archive_types.read_text()
    if before.count(LAST) != 1 or f"key: {KEY}," in before:
        raise DemoFailed(
            f"it adds the key {KEY} to config/archive-types.yml itself, which must be as the repository has it"
        )
    added = f"      - {{key: {KEY}, path: {KEY}}}\n"
    archive_types.write_text(before.replace(LAST, LAST + added))
    print(f"\nadded to {archive_types.name}, while the service runs: {added.strip()}", flush=True)
    run = _completed(client)
    counts = {name: run[name] for name in ("total", "processed", "updated", "null", "failed")}
    seconds = (datetime.fromisoformat(run["completed"]) - datetime.fromisoformat(run["started"])).total_seconds()
    print(
        f"\nGET /api/metadata-backfills/{run['id']}: {run['state']} in {seconds:.2f} s, keys {', '.join(run['keys'])}"
    )
    print(", ".join(f"{name} {count}" for name, count in counts.items()))
    expected = {"total": artifacts, "processed": artifacts, "updated": artifacts, "null": nulls, "failed": 0}
    if run["state"] != "completed" or run["keys"] != [KEY] or counts != expected:
        raise DemoFailed(f"the run should be completed with {expected}: {run}")
    print(f"\nGET /api/artifacts?messageType={MESSAGE}&metadata.{KEY}[isnull]=false (then true)&limit={SHOWN}\n")
    print(f"  {'reference':<12} {KEY}")
    for null in ("false", "true"):
        _print_values(client, null)


def _completed(client: httpx.Client) -> dict[str, Any]:
    """The run that the changed file set off, once it has ended."""
    deadline = time.monotonic() + STUCK
    while time.monotonic() < deadline:
        runs: list[dict[str, Any]] = client.get("/api/metadata-backfills").raise_for_status().json()["items"]
        if runs and runs[0]["state"] != "open":
            return runs[0]
        time.sleep(0.1)
    raise DemoFailed(f"no completed metadata run within {STUCK:.0f} s")


def _print_values(client: httpx.Client, null: str) -> None:
    query = {"messageType": MESSAGE, f"metadata.{KEY}[isnull]": null, "limit": str(SHOWN)}
    found = client.get("/api/artifacts", params=query).raise_for_status().json()["items"]
    for artifact in found:
        value = artifact["metadata"][KEY]
        shown = "null" if value is None else value if len(value) <= WIDTH else f"{value[: WIDTH - 1]}…"
        print(f"  {artifact['referenceId']:<12} {shown}")
    if len(found) != SHOWN:
        raise DemoFailed(f"{SHOWN} artifacts were expected for {query}, there are {len(found)}")
