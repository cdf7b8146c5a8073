"""`python -m bench.reconcile`: lists of 1,000,000 references against `pas serve` on PostgreSQL, through its API.

Of 100 references 94 are archived, by three jobs; the others failed, are open or were never submitted. Each list is sent
as NDJSON, CSV and YAML (`--kinds`), and the answer is read as NDJSON. Wall time, CPU of the service, of the process
that reads the list and of PostgreSQL, and the largest memory of the first two. Exit 1 where a list takes a minute, or
the service grows by more than 100 MB. `--profile FILE`: py-spy records the service meanwhile.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db import artifacts, dialect, jobs
from app.db.database import Database
from app.db.metadata_tables import artifact
from app.db.tables import task
from app.domain.identity import reference_key
from app.domain.jobs import Reference
from bench.service import MESSAGE, TOPIC, Service, cpu_seconds
from bench.world import world
from tests.servers.host import children
from tests.support.rows import new_job, stored_artifact

JOBS = 3
MOST_SECONDS, MOST_BYTES = 60.0, 100 * 10**6
PIECE = 256 * 1024
MEDIA_TYPES = {"ndjson": "application/x-ndjson", "csv": "text/csv", "yaml": "application/yaml"}
TASKS = ("job_id", "position", "reference_key", "reference_id", "reference_version", "state")


def reference(number: int) -> Reference:
    return Reference(f"DOC-{number // 1000:04d}-{number:07d}", 1)


def fate(number: int) -> str:
    return {0: "unknown", 1: "failed", 2: "failed", 3: "unknown", 4: "open", 5: "unknown"}.get(number % 100, "archived")


async def fill(database: Database, count: int) -> None:
    """The archive that the lists are compared with. Its jobs are paused, so that nothing is published."""

    async def one(connection: AsyncConnection, part: int) -> None:
        numbers = [each for each in range(part, count, JOBS) if fate(each) != "unknown"]
        size = len(numbers)
        of = replace(new_job([]), message=MESSAGE, topic=TOPIC, resolved_config_id=None, total=size, open=size)
        assert await jobs.insert_if_absent(connection, of)
        await connection.execute(text("UPDATE backfill_job SET paused = true"))
        await dialect.insert_many(connection, task, TASKS, task_rows(of.id, numbers))
        names = [name for name, _ in artifacts.ARTIFACTS.columns]
        await dialect.insert_many(connection, artifact, names, artifact_rows(of.id, numbers))

    patient = database.patient()
    for part in range(JOBS):
        await patient.run(lambda c, part=part: one(c, part))  # type: ignore[misc]
    await patient.close()
    async with database.engine.connect() as connection:  # what autovacuum does
        plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await plain.execute(text("VACUUM ANALYZE"))


def task_rows(job_id: UUID, numbers: list[int]) -> Iterator[tuple[Any, ...]]:
    for position, number in enumerate(numbers):
        state = {"archived": "succeeded"}.get(fate(number), fate(number))
        yield (job_id, position, UUID(bytes=reference_key(reference(number))), *reference(number), state)


def artifact_rows(job_id: UUID, numbers: list[int]) -> Iterator[tuple[Any, ...]]:
    for number in numbers:
        if fate(number) == "archived":
            key = reference_key(reference(number))
            it = replace(stored_artifact(key.hex()), key=f"PSF/OsvRecord/{key.hex()[:2]}/{key.hex()}/v1")
            named = (MESSAGE, MESSAGE, None, *reference(number), UUID(bytes=key), it.system, it.schema, 1)
            placed = (it.content_type, it.size, it.sha256, it.bucket, it.key, it.version_id, it.archived_at, None)
            yield (*named, *placed, job_id, 0, False)


def lines(kind: str, count: int) -> Iterator[str]:
    if kind == "csv":
        yield "id,version\n"
    if kind == "yaml":
        yield f"message: {MESSAGE}\ntopic: {TOPIC}\narchiveDataReferences:\n"
    for number in range(count):
        id_, version = reference(number)
        if kind == "csv":
            yield f"{id_},{version}\n"
        elif kind == "yaml":
            yield f"- id: {id_}\n  version: {version}\n"
        else:
            yield f'{{"id":"{id_}","version":{version}}}\n'


async def sent(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as opened:
        while piece := opened.read(PIECE):
            yield piece


@dataclass
class Memory:
    """The most that the service, and the process that reads a list, had."""

    pid: int
    before: int = 0
    reader: int = 0

    def __post_init__(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")  # its peak begins now
        self.before = peak(self.pid)

    async def watch(self) -> None:
        while True:
            self.reader = max(self.reader, *(peak(each) for each in children(self.pid)), 0)
            await asyncio.sleep(0.1)

    @property
    def grown(self) -> int:
        return peak(self.pid) - self.before


def peak(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


async def measure(http: httpx.AsyncClient, service: Service, postgres: int, file: Path, count: int) -> bool:
    kind = file.suffix[1:]
    memory = Memory(service.pid)
    watching = asyncio.create_task(memory.watch())
    before, begin = (cpu_seconds(service.pid), cpu_seconds(postgres)), time.perf_counter()
    headers = {"Content-Type": MEDIA_TYPES[kind], "Accept": "application/x-ndjson"}
    query = {"message": MESSAGE}
    first, answered, last = 0.0, 0, b""
    async with http.stream("POST", "/api/reconcile", params=query, headers=headers, content=sent(file)) as response:
        assert response.status_code == 200, await response.aread()
        async for piece in response.aiter_raw():
            first = first or time.perf_counter() - begin
            answered += piece.count(b"\n")
            last = (last + piece)[-300:]
    seconds = time.perf_counter() - begin
    after = (cpu_seconds(service.pid), cpu_seconds(postgres))
    watching.cancel()
    counts = json.loads(last.splitlines()[-1])["counts"]
    assert answered == count + 1, answered
    assert {name: number for name, number in counts.items() if number} == Counter(map(fate, range(count))), counts
    own, reader = (now - then for then, now in zip(before[0], after[0], strict=True))
    print(
        f"| {kind} | {seconds:.1f} | {first:.1f} | {own:.1f} | {reader:.1f} | {after[1][1] - before[1][1]:.1f} | "
        f"{memory.grown / 1e6:.0f} | {memory.reader / 1e6:.0f} |",
        flush=True,
    )
    return seconds < MOST_SECONDS and memory.grown < MOST_BYTES


async def main_async(count: int, kinds: list[str], profile: Path | None) -> bool:
    with world(["sink"]) as all_:
        url = all_.postgres.create_database("reconcile")
        peers = replace(all_.peers, source_uri=all_.source.versioned_uri)
        service = Service("reconcile", peers, all_.stores["sink"], url, concurrency=8, traces=False)
        for topic in service.topics:
            all_.kafka.create_topic(topic, 1)
        with service:
            database = Database(url)
            begin = time.perf_counter()
            await fill(database, count)
            await database.close()
            print(f"{count:,} references; the archive was made in {time.perf_counter() - begin:.0f} s\n")
            print(
                "| list | s | s to the first verdict | CPU s | of the reader | of PostgreSQL | MB more | MB of reader |"
            )
            print("|---|---|---|---|---|---|---|---|", flush=True)
            headers = {"Authorization": f"Bearer {all_.oidc.token('pas-admin', ttl=7200)}"}
            assert service.data is not None
            assert all_.postgres.process is not None
            good = True
            async with httpx.AsyncClient(base_url=service.url, timeout=600, headers=headers) as http:
                for kind in kinds:
                    file = service.data / f"list.{kind}"
                    with file.open("w") as opened:
                        opened.writelines(lines(kind, count))
                    async with profiled(service.pid, profile):
                        good = await measure(http, service, all_.postgres.process.pid, file, count) and good
            return good


@contextlib.asynccontextmanager
async def profiled(pid: int, file: Path | None) -> AsyncIterator[None]:
    if file is None:
        yield
        return
    spy = await asyncio.create_subprocess_exec(
        *("py-spy", "record", "--pid", str(pid), "--rate", "50", "--subprocesses", "--format", "raw", "--output", file)
    )
    await asyncio.sleep(1)
    yield
    spy.send_signal(2)
    await spy.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--references", type=int, default=1_000_000)
    parser.add_argument("--kinds", nargs="+", choices=list(MEDIA_TYPES), default=list(MEDIA_TYPES))
    parser.add_argument("--profile", type=Path, help="file for what py-spy sees")
    options = parser.parse_args()
    return 0 if asyncio.run(main_async(options.references, options.kinds, options.profile)) else 1


if __name__ == "__main__":
    sys.exit(main())
