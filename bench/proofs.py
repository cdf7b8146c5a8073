"""`python -m bench.proofs`: the proof of a job of 1,000,000 references, on PostgreSQL or, with `--sqlite`, on SQLite.

One process builds it, another checks the package as `pas evidence verify` does: wall time, CPU for each reference, and
the largest memory of each, imports included. Objects go to a directory. Exit 1 where the build takes 3 minutes of
CPU, or 200 MB.
"""

import argparse
import asyncio
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.api.jobs.yaml_report import report_head, report_tasks
from app.cli import howto, package
from app.cli.evidence_checks import HOLDS, UNSEEN, check_package
from app.db import dialect, jobs, migrations, proofs, tasks
from app.db.database import Database
from app.db.tables import task
from app.domain.identity import content_hash, reference_key
from app.domain.jobs import JobState, Reference
from app.domain.notes import private_pem, read_verifier_key
from app.domain.readiness import Readiness
from app.evidence.builder import ProofBuilder, ProofOptions
from app.evidence.proofs import Proofs
from app.evidence.signer import signer_of
from app.jobs.report import Reports
from app.objectstore.filesystem import FilesystemObjectStore
from tests.servers import Postgres
from tests.support.rows import NOW, change_job, new_job, stored_artifact

BUCKET = "archive"
MOST_SECONDS, MOST_BYTES = 180.0, 200 * 1000**2
COLUMNS = ("job_id", "position", "reference_key", "reference_id", "reference_version", "state", "stored", "finished_at")


async def fill(database: Database, count: int) -> UUID:
    """A job that is completed, all of it succeeded."""
    of = new_job([])
    keys = bytearray()

    def rows() -> Iterator[tuple[Any, ...]]:
        for position in range(count):
            reference = Reference(f"DOC-{position // 1000:04d}-{position:07d}", 1)
            key = reference_key(reference)
            keys.extend(key)
            stored = stored_of(key, position)
            yield (of.id, position, UUID(bytes=key), *reference, "succeeded", stored, NOW)

    async def work(connection: AsyncConnection) -> None:
        assert await jobs.insert_if_absent(connection, replace(of, total=count, open=count))
        await dialect.insert_many(connection, task, COLUMNS, rows())

    patient = database.patient()
    await patient.run(work)
    await patient.close()
    digest = content_hash(of.message, of.topic, of.config_id, bytes(keys))
    done = {"open": 0, "succeeded": count, "state": JobState.COMPLETED, "completed": NOW, "content_hash": digest}
    await change_job(database, of.id, **done)
    if database.engine.dialect.name == "postgresql":
        async with database.engine.connect() as connection:
            plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await plain.execute(text("VACUUM ANALYZE"))
    return of.id


def stored_of(key: bytes, position: int) -> str:
    digest = hashlib.sha256(key).hexdigest()
    end = NOW + timedelta(days=36500, milliseconds=position)
    place = f"PSF/OsvRecord/{digest[:2]}/{digest}/v1"
    return tasks.to_json(
        replace(stored_artifact(key.hex()), key=place, sha256=digest, size=position % 99_999, retain_until=end)
    )


async def build(url: str, directory: Path, pem: str) -> None:
    """In a process of its own."""
    database, objects = Database(url), FilesystemObjectStore(directory)
    await objects.prepare([BUCKET], [])
    builder = ProofBuilder(database, objects, Readiness(()), signer_of("bench/proofs", pem), ProofOptions(BUCKET))
    assert await builder.build_next(asyncio.Event())
    await objects.close()
    await database.close()


async def export(database: Database, directory: Path, job_id: UUID, file: Path) -> None:
    objects = FilesystemObjectStore(directory)
    reports, shown = Reports(database), Proofs(database, objects, signs=True)
    proof, job = await shown.find(job_id), await reports.find(job_id)
    assert job is not None
    with file.open("w+b") as opened, package.packing(opened) as writer:
        writer.add(package.HOWTO, howto.TEXT.encode())
        writer.add(package.KEYS, (directory / "key").read_bytes())
        writer.add(package.CHECKPOINT, proof.checkpoint.encode())
        with writer.member(package.LEAVES) as member:
            async for lines in shown.leaves(proof):
                member.write(b"".join(line + b"\n" for line in lines))
        with writer.member(package.REPORT) as member:
            member.write(report_head(job))
            async for page in reports.pages(job_id):
                member.write(report_tasks(page))
    await objects.close()


def verify(file: Path, key: str) -> None:
    """In a process of its own."""
    found = list(check_package(file, [read_verifier_key(key)]))
    assert {each.kind for each in found} <= {HOLDS, UNSEEN}, found


def alone(*words: str) -> tuple[float, float, int]:
    """Runs this file in a process of its own: seconds, seconds of CPU behind the imports, bytes at most."""
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "bench.proofs", *words], capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - begin
    cpu, memory = json.loads(done.stdout.splitlines()[-1])
    return seconds, cpu, memory


def used(since: float) -> None:
    """The CPU that this process took since then, and its memory at most, for `alone`."""
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps([time.process_time() - since, memory]))


async def run(url: str, count: int) -> int:
    database = Database(url)
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        pem = private_pem(Ed25519PrivateKey.generate()).decode()
        key = str(signer_of("bench/proofs", pem).verifier)
        (place / "pem").write_text(pem)
        (place / "key").write_text(f"{key}\n")
        await migrations.migrate(database)
        job_id = await fill(database, count)
        print(f"{count:,} references\n\n| what | seconds | CPU s | µs/reference | MB at most |\n|---|---|---|---|---|")
        built = _row("build", count, *alone("--build", url, directory))
        async with database.reading() as connection:
            proof = await proofs.find(connection, job_id)
        assert proof is not None
        assert proof.size == count
        leaves = sum(each.stat().st_size for each in (place / BUCKET).rglob("*"))
        await export(database, place, job_id, place / "F.zip")
        _row("verify", count, *alone("--verify", str(place / "F.zip"), key))
        print(f"\nin the bucket {leaves / 1e6:.0f} MB, package {(place / 'F.zip').stat().st_size / 1e6:.0f} MB")
    await database.close()
    return 0 if built else 1


def _row(what: str, count: int, seconds: float, cpu: float, memory: int) -> bool:
    print(f"| {what} | {seconds:.1f} | {cpu:.1f} | {cpu / count * 1e6:.1f} | {memory / 1e6:.0f} |", flush=True)
    return cpu < MOST_SECONDS and memory < MOST_BYTES


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.proofs", description=__doc__)
    parser.add_argument("--references", type=int, default=1_000_000)
    parser.add_argument("--sqlite", action="store_true")
    parser.add_argument("--build", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--verify", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    begin = time.process_time()  # behind the imports, which take 2 s
    if options.build:
        asyncio.run(build(options.build[0], Path(options.build[1]), (Path(options.build[1]) / "pem").read_text()))
        used(begin)
        return 0
    if options.verify:
        verify(Path(options.verify[0]), options.verify[1])
        used(begin)
        return 0
    if options.sqlite:
        with tempfile.TemporaryDirectory() as directory:
            return asyncio.run(run(f"sqlite:///{directory}/pas.sqlite", options.references))
    postgres = Postgres(durable=True)
    try:
        return asyncio.run(run(postgres.start().create_database(f"bench-{os.getpid()}"), options.references))
    finally:
        postgres.close()


if __name__ == "__main__":
    sys.exit(main())
