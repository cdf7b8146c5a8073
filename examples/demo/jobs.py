"""The jobs of the demonstration: submitted, watched, their reports printed and checked."""

import json
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from examples.demo.processes import REPOSITORY, START, DemoFailed

DOCUMENTS = REPOSITORY / "examples/source/documents"

UNKNOWN = ["PSF-1989-1", "PSF-1989-2"]
"""Well-formed ids that the source answers with 404."""

STUCK = 120.0
"""Seconds without any progress after which a job counts as stuck; the demonstration takes a few in all."""


@dataclass(frozen=True)
class Job:
    """A job as it is submitted, and what must come of it."""

    what: str
    message: str
    topic: str
    references: Sequence[tuple[str, int | None]]
    result: str
    succeeded: int

    def body(self) -> str:
        """A submission; JSON strings are YAML strings."""
        lines = [f"message: {self.message}", f"topic: {self.topic}", "archiveDataReferences:"]
        for reference, version in self.references:
            lines.append(f"  - id: {json.dumps(reference)}")
            if version is not None:
                lines.append(f"    version: {version}")
        return "\n".join(lines) + "\n"


def jobs() -> list[Job]:
    advisories = sorted(path.stem for path in DOCUMENTS.glob("*.json"))
    decrees = [("DECREE-2024-001", 1), ("DECREE-2024-001", 2), ("DECREE-2024-002", 1)]
    return [
        Job(
            f"{len(advisories)} security advisories (JSON) and {len(UNKNOWN)} that the source does not have",
            "OsvRecordPublishedEvent",
            "psf-osv-record-published",
            [(advisory, None) for advisory in (*advisories, *UNKNOWN)],
            "partially-succeeded",
            len(advisories),
        ),
        Job(
            f"{len(decrees)} versions of decrees (Avro)",
            "DecreeDocumentCreatedEvent",
            "demo-decree-document-created",
            decrees,
            "succeeded",
            len(decrees),
        ),
    ]


def without(member: str) -> int:
    """How many advisories lack it."""
    return sum(member not in json.loads(path.read_text()) for path in DOCUMENTS.glob("*.json"))


def wait_until_ready(client: httpx.Client) -> None:
    deadline = time.monotonic() + START
    while True:
        answer = client.get("/health/ready")
        if answer.status_code == 200:
            return
        if time.monotonic() > deadline:
            raise DemoFailed(f"the service is not ready after {START:.0f} s: {answer.text}")
        time.sleep(0.1)


def archive(client: httpx.Client, job: Job, directory: Path) -> None:
    """Submits, watches, prints the report and checks it."""
    job_id = uuid.uuid4()
    print(f"\nPUT /api/jobs/{job_id}: {job.what}")
    submitted = client.put(f"/api/jobs/{job_id}", content=job.body(), headers={"Content-Type": "application/yaml"})
    if submitted.status_code != 200:
        raise DemoFailed(f"the submission was answered with {submitted.status_code}: {submitted.text}")
    _watch(client, job_id)
    report = client.get(f"/api/jobs/{job_id}/report").raise_for_status().text
    print(f"\nGET /api/jobs/{job_id}/report\n\n{report}", end="")
    (directory / f"report-{job_id}.yml").write_text(report)
    head, _, references = report.partition("archiveDataReferences:")
    states = {state: references.count(f"    state: {state}\n") for state in ("succeeded", "failed", "open")}
    expected = {"succeeded": job.succeeded, "failed": len(job.references) - job.succeeded, "open": 0}
    if states != expected or f"job-result: {job.result}\n" not in head:
        raise DemoFailed(f"the report should say {job.result}, {expected}; it has {states}")


def _watch(client: httpx.Client, job_id: uuid.UUID) -> None:
    """Shows progress until the job is completed: one line that changes on a terminal, else a line for each change."""
    terminal = sys.stdout.isatty()
    shown, last = "", time.monotonic()
    while True:
        view: dict[str, Any] = client.get(f"/api/jobs/{job_id}").raise_for_status().json()
        line = _progress(view)
        if line != shown:
            print(f"\r{line}" if terminal else line, end="" if terminal else "\n", flush=True)
            shown, last = line, time.monotonic()
        if view["state"] == "completed":
            if terminal:
                print()
            return
        if time.monotonic() - last > STUCK:
            raise DemoFailed(f"no progress for {STUCK:.0f} s: {view}")
        time.sleep(0.1 if terminal else 0.5)


def _progress(view: Mapping[str, Any]) -> str:
    total, succeeded, failed = (view["counts"][name] for name in ("total", "succeeded", "failed"))
    done = succeeded + failed
    return f"[{'#' * (40 * done // total):.<40}] {done:>3} of {total}: {succeeded} succeeded, {failed} failed"
