"""Packages of evidence, of jobs of the core; and with one member replaced."""

import json
import zipfile
from base64 import b64encode
from pathlib import Path
from uuid import UUID

from app.api.jobs.yaml_report import report_head, report_tasks
from app.cli import howto, package
from app.domain.audit import subject_of_job
from app.domain.notes import VerifierKey
from app.evidence.audit_log import AuditFilter, AuditLog
from app.evidence.signer import Signer
from app.jobs.report import Reports
from tests.support.audit import nothing_found
from tests.support.core import Core
from tests.support.proofs import lines_in_bucket, proof_of


async def members_of(core: Core, job_id: UUID, *keys: VerifierKey, signer: Signer | None = None) -> dict[str, bytes]:
    """What an export has, without a service before it; `signer` signs the audit log."""
    reports = Reports(core.database)
    job = await reports.find(job_id)
    assert job is not None
    tasks = [task async for page in reports.pages(job_id) for task in page]
    proof = await proof_of(core, job_id)
    members = {
        package.HOWTO: howto.TEXT.encode(),
        package.KEYS: "".join(f"{key}\n" for key in keys).encode(),
        package.CHECKPOINT: proof.checkpoint.encode(),
        package.LEAVES: b"".join(line + b"\n" for line in await lines_in_bucket(core, job_id)),
        package.REPORT: report_head(job) + report_tasks(tasks),
    }
    if signer is not None:
        members[package.AUDIT] = await _entries(core, job_id, signer)
    return members if proof.timestamp is None else {**members, package.TIMESTAMP: proof.timestamp}


async def _entries(core: Core, job_id: UUID, signer: Signer) -> bytes:
    log = AuditLog(core.database, signer, nothing_found)
    found, _ = await log.page(AuditFilter(subject_of_job(job_id)), None, 1_000)
    lines = []
    for entry in reversed(found):
        proof = await log.proof(entry.seq)
        hashes = [b64encode(each).decode() for each in proof.hashes]
        shown = {"index": proof.index, "leaf": proof.leaf.decode(), "hashes": hashes, "checkpoint": proof.checkpoint}
        lines.append(json.dumps(shown) + "\n")
    return "".join(lines).encode()


def packed(path: Path, members: dict[str, bytes]) -> Path:
    with path.open("w+b") as file, package.packing(file) as writer:
        for name, content in members.items():
            writer.add(name, content)
    return path


def unpacked(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
