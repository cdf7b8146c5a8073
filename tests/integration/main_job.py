"""The main job, done once on the real servers; the files test_main_job_*.py look at what it left."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx

from app.domain import jobs
from app.domain.identity import reference_key, trace_id_of
from tests.servers.source import Source
from tests.support.archive import Archive
from tests.support.archive_types import (
    DECREE,
    OSV,
    YAML_TYPE,
    Message,
    Reference,
    decree,
    decree_rule,
    submission,
    unversioned,
)
from tests.support.objects import SCHEMAS, Stored, Version, read_version, versions_in
from tests.support.records import Record, read_topic

STRANGE_IDS = {
    "ä/ö ?&=+%": "ä/ö ?&=+%",
    "😀": "😀",
    "007": '"007"',
    "2024-01-01": '"2024-01-01"',
    "no": '"no"',
    "1e3": '"1e3"',
    "a: b # c": '"a: b # c"',
    "../../etc/passwd": "../../etc/passwd",
    ".hidden": ".hidden",
    "%2e%2e": '"%2e%2e"',
    "a\\b\"c'd": "a\\b\"c'd",
    " blanks ": '" blanks "',
    "x" * 512: "x" * 512,
    "ü" * 512: "ü" * 512,
}
"""Ids that something on the way could take for something else, and how the report has to write them."""

METADATA = {"Archive-Metadata-Customer": "Zoë & Söhne/4711", "Archive-Metadata-Empty": "", "archive-metadata-KIND": "a"}
WITH_METADATA = "with-metadata"
MISSING = "missing"

OSV_REFERENCES = unversioned(*STRANGE_IDS, WITH_METADATA, MISSING, *(f"PSF-2024-{n}" for n in range(32)))
DECREE_REFERENCES: list[Reference] = [(f"D/{n} ä", version) for n in range(4) for version in (1, 2, 2**31 - 1)]


@dataclass(frozen=True, slots=True)
class Done:
    """A completed job and everything that can be seen of it."""

    job_id: UUID
    message: Message
    trace_id: str
    """Of the request that submitted it; its references have others."""
    references: list[Reference]
    report: str
    view: Mapping[str, Any]
    commands: list[Record]
    events: list[Record]
    requests: list[Mapping[str, Any]]
    """What the source saw."""
    objects: list[tuple[Version, Stored]]

    def succeeded(self) -> list[Reference]:
        return [reference for reference in self.references if reference[0] != MISSING]


@dataclass(frozen=True, slots=True)
class MainJob:
    archive: Archive
    osv: Done
    decree: Done
    schemas: list[tuple[Version, Stored]]
    lifecycle_rules: list[dict[str, Any]]
    repeated: list[httpx.Response]
    """The same submissions again, after completion; before everything else was read."""
    different: httpx.Response
    token_requests: int
    dead_letters: list[Record]


def trace_of(job_id: UUID, reference: Reference) -> str:
    return trace_id_of(job_id, reference_key(jobs.Reference(*reference)))


def trace_of_request(seen: Mapping[str, Any]) -> str:
    return str(seen["headers"]["traceparent"]).split("-")[1]


def run_main_job(archive: Archive, source: Source) -> MainJob:
    """Submits 60 references in two jobs, submits them again when they are done, and reads what is there then."""
    source.script(match=MISSING, status=404)
    source.script(match=WITH_METADATA, headers={k: v.encode().decode("latin-1") for k, v in METADATA.items()})
    for number in range(4):
        source.script(**decree_rule(f"D/{number} ä", decree(f"D/{number}", 1)))
    submitted: dict[UUID, tuple[Message, list[Reference], str]] = {
        uuid4(): (OSV, OSV_REFERENCES, uuid4().hex),
        uuid4(): (DECREE, DECREE_REFERENCES, uuid4().hex),
    }
    tokens_before = archive.oidc.token_requests("source-client")
    with archive.service() as service:
        for job_id, (message, references, trace_id) in submitted.items():
            headers = {**YAML_TYPE, "traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
            answer = service.api("PUT", f"/api/jobs/{job_id}", content=submission(message, references), headers=headers)
            assert answer.status_code == 200, answer.text
        for job_id in submitted:
            service.wait_completed(job_id)
        sent = len(read_topic(archive.kafka, archive.commands))
        repeated = [
            service.put(job_id, b"# the same\n" + submission(message, references[::-1]))
            for job_id, (message, references, _) in submitted.items()
        ]
        first = next(iter(submitted))
        different = service.put(first, submission(OSV, OSV_REFERENCES[1:]))
        again = uuid4()
        service.submit(again, unversioned("later"))  # when this one is done, a repeat would have been done too
        service.wait_completed(again)
        reports = {job_id: service.report_text(job_id) for job_id in submitted}
        views = {job_id: service.job(job_id) for job_id in submitted}
    commands = read_topic(archive.kafka, archive.commands)
    assert len(commands) == sent + 1
    events = read_topic(archive.kafka, archive.events)
    requests = source.requests[:-1]
    objects = [(v, read_version(archive.s3, archive.bucket, v.key, v.version_id)) for v in _all_versions(archive)]

    def done(job_id: UUID) -> Done:
        message, references, trace_id = submitted[job_id]
        traces = {trace_of(job_id, reference) for reference in references}
        return Done(
            job_id,
            message,
            trace_id,
            references,
            reports[job_id],
            views[job_id],
            [record for record in commands if record.json["processId"] == str(job_id)],
            [record for record in events if record.json["processId"] == str(job_id)],
            [seen for seen in requests if trace_of_request(seen) in traces],
            [(v, s) for v, s in objects if s.metadata.get("job-id") == str(job_id)],
        )

    client = archive.s3.client()
    osv, decrees = map(done, submitted)
    return MainJob(
        archive,
        osv,
        decrees,
        [(v, s) for v, s in objects if v.key.startswith(SCHEMAS)],
        client.get_bucket_lifecycle_configuration(Bucket=archive.bucket)["Rules"],
        repeated,
        different,
        archive.oidc.token_requests("source-client") - tokens_before,
        read_topic(archive.kafka, archive.dead_letters),
    )


def _all_versions(archive: Archive) -> list[Version]:
    found = versions_in(archive.s3, archive.bucket)
    return found + versions_in(archive.s3, archive.bucket, SCHEMAS)
