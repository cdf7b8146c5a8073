"""Packages of evidence, of jobs of the core; and with one member replaced."""

import zipfile
from pathlib import Path
from uuid import UUID

from app.api.jobs.yaml_report import report_head, report_tasks
from app.cli import howto, package
from app.domain.notes import VerifierKey
from app.jobs.report import Reports
from tests.support.core import Core
from tests.support.proofs import lines_in_bucket, proof_of


async def members_of(core: Core, job_id: UUID, *keys: VerifierKey) -> dict[str, bytes]:
    """What an export has, without a service before it."""
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
    return members if proof.timestamp is None else {**members, package.TIMESTAMP: proof.timestamp}


def packed(path: Path, members: dict[str, bytes]) -> Path:
    with path.open("w+b") as file, package.packing(file) as writer:
        for name, content in members.items():
            writer.add(name, content)
    return path


def unpacked(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
