"""Live archiving in the demonstration: a type becomes live while the service runs, and a message is archived."""

import json
import time
from pathlib import Path
from typing import Any

from examples.demo.command_line import CommandLine
from examples.demo.processes import DemoFailed

MESSAGE, TOPIC = "AdvisoryNotedEvent", "psf-advisory-noted"
ARCHIVE_TYPE = f"""
  # Advisories that are in their messages: nothing is fetched.
  - messageType: {MESSAGE}
    topic: {TOPIC}
    reference: {{id: payload.advisory.id}}
    payload: {{path: payload.advisory, system: PSF, schema: OsvRecord, schemaVersion: 1}}
    condition:
      - {{path: payload.state, equals: final}}
"""
ADVISORY = "PSF-2026-1"

STUCK = 60.0
"""Seconds after which the message counts as lost; it takes two or three."""


def archive_message(pas: CommandLine, archive_types: Path, topics: Path) -> None:
    """Adds a live archive type, writes a message to its topic, and shows the job and the artifact that came of it."""
    with archive_types.open("a") as file:
        file.write(ARCHIVE_TYPE)
    print(f"\nadded to {archive_types.name}, while the service runs: the live archive type {MESSAGE}", flush=True)
    line = json.dumps(_message())
    print(f"\n$ echo '{line}' >> topics/{TOPIC}.jsonl", flush=True)
    with (topics / f"{TOPIC}.jsonl").open("a") as topic:
        topic.write(line + "\n")
    job = _archived(pas)
    pas.show("jobs", "list", "--kind", "live")
    pas.show("artifacts", "search", "--message", MESSAGE)
    found = pas.ask("artifacts", "search", "--message", MESSAGE)
    if job["counts"]["succeeded"] != 1 or [artifact["referenceId"] for artifact in found] != [ADVISORY]:
        raise DemoFailed(f"one artifact of {ADVISORY} was expected: {job}, {found}")


def _message() -> dict[str, Any]:
    advisory = {"id": ADVISORY, "modified": "2026-11-30T08:00:00Z", "summary": "An advisory that came as a message"}
    return {
        "identity": {"idempotenceId": f"advisory-{ADVISORY}"},
        "type": {"name": MESSAGE, "version": "1.0.0"},
        "payload": {"state": "final", "advisory": advisory},
    }


def _archived(pas: CommandLine) -> dict[str, Any]:
    """The live job, once its task has ended."""
    deadline = time.monotonic() + STUCK
    while time.monotonic() < deadline:
        found: list[dict[str, Any]] = pas.ask("jobs", "list", "--kind", "live")
        if found and found[0]["counts"]["open"] == 0:
            return found[0]
        time.sleep(0.1)
    raise DemoFailed(f"the message was not archived within {STUCK:.0f} s")
