"""The jobs of the demonstration: looked at before, sent, watched, their reports checked."""

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from examples.demo.command_line import CommandLine
from examples.demo.processes import REPOSITORY, START, DemoFailed

DOCUMENTS = REPOSITORY / "examples/source/documents"

UNKNOWN = ["PSF-1989-1", "PSF-1989-2"]
"""Well-formed ids that the source answers with 404."""

SHOWN = 6
"""Lines of a report that are printed behind its head."""


@dataclass(frozen=True)
class Job:
    """A job as it is submitted, and what must come of it; `file` is its name without suffix."""

    file: str
    what: str
    message: str
    topic: str
    references: Sequence[tuple[str, int | None]]
    result: str
    succeeded: int

    def body(self) -> str:
        """A submission; JSON strings are YAML strings."""
        lines = [f"name: {self.file} of the demonstration", f"message: {self.message}", f"topic: {self.topic}"]
        lines.append("archiveDataReferences:")
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
            "advisories",
            f"{len(advisories)} security advisories (JSON) and {len(UNKNOWN)} that the source does not have",
            "OsvRecordPublishedEvent",
            "psf-osv-record-published",
            [(advisory, None) for advisory in (*advisories, *UNKNOWN)],
            "partially-succeeded",
            len(advisories),
        ),
        Job(
            "decrees",
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


def wait_until_ready(service: str) -> None:
    deadline = time.monotonic() + START
    while True:
        answer = httpx.get(f"{service}/health/ready", timeout=30, trust_env=False)
        if answer.status_code == 200:
            return
        if time.monotonic() > deadline:
            raise DemoFailed(f"the service is not ready after {START:.0f} s: {answer.text}")
        time.sleep(0.1)


def archive(pas: CommandLine, job: Job) -> None:
    """Asks what would become of the job, sends it, shows its failures and the beginning of its report, checks it."""
    job_id = str(uuid.uuid4())
    file, report = pas.directory / f"{job.file}.yml", f"{job.file}-report.yml"
    file.write_text(job.body())
    print(f"\n{job.what}: {job.file}.yml", flush=True)
    failed = len(job.references) - job.succeeded
    pas.show("jobs", "preflight", "--file", file.name, expect=1 if failed else 0)
    send = ["backfill", "send", "--file", file.name, "--job-id", job_id, "--wait"]
    pas.show(*send, expect=3 if failed else 0)
    pas.show("jobs", "show", job_id)
    if failed:
        pas.show("jobs", "failures", job_id)
    pas.show("backfill", "report", "--job-id", job_id, "--output", report)
    text = (pas.directory / report).read_text()
    _print_beginning(text)
    head, _, references = text.partition("archiveDataReferences:")
    states = {state: references.count(f"    state: {state}\n") for state in ("succeeded", "failed", "open")}
    expected = {"succeeded": job.succeeded, "failed": failed, "open": 0}
    if states != expected or f"job-result: {job.result}\n" not in head:
        raise DemoFailed(f"the report should say {job.result}, {expected}; it has {states}")


def _print_beginning(report: str) -> None:
    lines = report.splitlines()
    head = lines.index("archiveDataReferences:") + 1
    print("\n".join(lines[: head + SHOWN]))
    if len(lines) > head + SHOWN:
        print(f"… {len(lines) - head - SHOWN} more lines")
