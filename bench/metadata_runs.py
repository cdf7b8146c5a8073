"""Artifacts per second of a metadata run, next to a bare loop: reads the same objects, extracts, inserts by hundreds.

    python -m bench.metadata_runs            20,000 artifacts, some minutes
    python -m bench.metadata_runs --quick    a smoke run

Service and loop take turns, each in a process of its own and on its own copy of the database, with the same servers.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import uvloop
from typing_extensions import override

from app.catalog.registry import load_registry
from app.db.artifacts import VALUES, value_record
from app.domain.archive_types import ExtractionPath, SchemaName
from app.domain.extraction import compile_paths, metadata_values
from app.objectstore.s3 import S3Options, open_s3
from bench.service import Measured, Service, Store, cpu_seconds
from bench.world import World, world
from tests.servers.fetch import REPOSITORY
from tests.support.stored import ToStore, store_advisories

BATCH = 100
AIM = 0.75
DOCUMENTS = REPOSITORY / "examples/source/documents"
STOCK = "metadata_stock"
SCHEMA = SchemaName("PSF", "OsvRecord", 1)
PATHS = {
    "osv_id": "id",
    "summary": "summary",
    "aliases": "aliases[*]",
    "first_alias": "aliases[0]",
    "package": "affected[0].package.name",
    "kinds": "affected[*].ranges[*].type",
    "severity": "severity[0].score",
    "cwes": "database_specific.cwe_ids",
    "credit": "credits[0].name",
    "nothing": '["a.b"].c',
}
LOOP_BATCHES, LOOP_READS = 4, 32
"""Batches and objects that the bare loop has in hand: more made it no faster."""


class RunService(Service):
    """With metadata runs switched on; its definition is empty until `define`."""

    @override
    def prepare(self, data: Path) -> None:
        super().prepare(data)
        file = data / "application.yml"
        settings = json.loads(file.read_text())
        settings["jeap"]["processarchive"]["metadata-backfill"] = {"enabled": True, "batch-size": BATCH}
        file.write_text(json.dumps(settings))

    def define(self) -> None:
        assert self.data is not None
        file = self.data / "archive-types.yml"
        configured = json.loads(file.read_text())
        [only] = configured["archiveTypes"]
        only["metadata_extraction_paths"] = [{"key": key, "path": path} for key, path in PATHS.items()]
        new = file.with_suffix(".new")
        new.write_text(json.dumps(configured))
        new.replace(file)


@dataclass(frozen=True, slots=True)
class Run:
    """A run that was measured, and how many rows it left."""

    measured: Measured
    rows: int


async def run_service(servers: World, store: Store, number: int, count: int, concurrency: int) -> Run:
    """From when the run was created until its end was recorded, by the database's own rows."""
    label = f"runs{number}"
    url = await asyncio.to_thread(servers.postgres.create_database, label, STOCK)
    service = RunService(label, servers.peers, store, url, concurrency=concurrency, traces=True)
    for topic in service.topics:
        await asyncio.to_thread(servers.kafka.create_topic, topic, 8)
    await asyncio.to_thread(service.start)
    database = await asyncpg.connect(url)
    try:
        await asyncio.sleep(3)  # the consumer group has come together
        cpu = cpu_seconds(service.pid)[0]
        service.define()
        while (found := await database.fetchrow("SELECT * FROM metadata_run WHERE state = 'completed'")) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        taken = cpu_seconds(service.pid)[0] - cpu
        if (found["processed"], found["failed"]) != (count, 0):
            raise RuntimeError(f"{found['processed']} of {count} processed, {found['failed']} failed")
        rows = await database.fetchval("SELECT count(*) FROM artifact_metadata")
        return Run(Measured(count, (found["completed"] - found["started"]).total_seconds(), taken), rows)
    finally:
        await database.close()
        await asyncio.to_thread(service.kill)
        await asyncio.to_thread(service.close)
        await asyncio.to_thread(servers.postgres.drop_database, label)


async def run_loop(servers: World, store: Store, number: int, count: int) -> Run:
    label = f"loop{number}"
    url = await asyncio.to_thread(servers.postgres.create_database, label, STOCK)
    settings = {
        "url": url,
        "s3": [store.url, store.region, store.access_key, store.secret_key],
    }
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.metadata_runs", "--loop", json.dumps(settings)),
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
        )
        out, _ = await process.communicate()
        taken = json.loads(out)
        return Run(Measured(count, taken["wall"], taken["cpu"]), taken["rows"])
    finally:
        await asyncio.to_thread(servers.postgres.drop_database, label)


async def loop(settings: dict[str, Any]) -> dict[str, float]:
    """The bare loop: neither commands nor counters, hashes, revisions nor conflicts; COPY, the fastest insert."""
    registry = load_registry(REPOSITORY / "contracts" / "archive-types")
    paths = compile_paths(ExtractionPath(key, path) for key, path in PATHS.items())
    columns = [name for name, _ in VALUES.columns]
    access_url, region, access_key, secret_key = settings["s3"]
    options = S3Options(access_url, region, access_key, secret_key, connections=LOOP_READS)
    reads = asyncio.Semaphore(LOOP_READS)
    async with (
        open_s3(options) as objects,
        asyncpg.create_pool(settings["url"], min_size=1, max_size=LOOP_BATCHES) as pool,
    ):
        cpu, wall = time.process_time(), time.perf_counter()
        found = await pool.fetch("SELECT id, bucket, object_key, version_id, content_type FROM artifact ORDER BY id")
        batches = iter([found[first : first + BATCH] for first in range(0, len(found), BATCH)])

        async def one(row: Any) -> list[tuple[Any, ...]]:
            async with reads:
                pieces = [each async for each in objects.read(row["bucket"], row["object_key"], row["version_id"])]
            document = registry.values(b"".join(pieces), row["content_type"], SCHEMA, checked=False)
            values = metadata_values(paths, document)
            return [value_record(row["id"], key, 1, value) for key, value in values.items()]

        async def worker() -> None:
            for batch in batches:
                records = [record for each in await asyncio.gather(*map(one, batch)) for record in each]
                async with pool.acquire() as connection:
                    await connection.copy_records_to_table("artifact_metadata", records=records, columns=columns)

        await asyncio.gather(*(worker() for _ in range(LOOP_BATCHES)))
        taken = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
        return {**taken, "rows": await pool.fetchval("SELECT count(*) FROM artifact_metadata")}


async def measure(servers: World, artifacts: int, repetitions: int, concurrency: int) -> tuple[float, float]:
    store = servers.stores["seaweedfs"]
    documents = [path.read_bytes() for path in sorted(DOCUMENTS.glob("*.json"))]
    advisories = [ToStore(f"ref-{place}", documents[place % len(documents)]) for place in range(artifacts)]
    begin = time.perf_counter()
    options = S3Options(store.url, store.region, store.access_key, store.secret_key, object_lock_enabled=False)
    await store_advisories(servers.postgres.create_database(STOCK), options, store.bucket, advisories, {})
    size = statistics.mean(len(each.content) for each in advisories)
    print(f"{artifacts:,} artifacts of {size / 1000:.1f} KB on average stored in {time.perf_counter() - begin:.0f} s\n")
    print("| round | | artifacts/s | CPU/artifact | load |\n|---|---|---|---|---|", flush=True)
    rates, costs, rows = [], [], set()
    for number in range(repetitions):
        loops = await run_loop(servers, store, number, artifacts)
        note(number, "bare loop", loops.measured)
        service = await run_service(servers, store, number, artifacts, concurrency)
        note(number, "service", service.measured)
        rates.append(service.measured.rate / loops.measured.rate)
        costs.append(service.measured.cost / loops.measured.cost)
        rows |= {loops.rows, service.rows}
    if rows != {artifacts * len(PATHS)}:
        raise RuntimeError(f"rows at the end: {rows}")
    return statistics.median(rates), statistics.median(costs)


def note(number: int, what: str, measured: Measured) -> None:
    cost, load = measured.cost, os.getloadavg()[0]
    print(f"| {number + 1} | {what} | {measured.rate:,.0f} | {cost:.0f} µs | {load:.1f} |", flush=True)


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smoke run: 1,000 artifacts, one round")
    parser.add_argument("--artifacts", type=int, help="default: 20,000")
    parser.add_argument("--rounds", type=int, help="of loop and service, default: 3")
    parser.add_argument("--concurrency", type=int, default=64, help="of the service (default: %(default)s)")
    parser.add_argument("--loop", help=argparse.SUPPRESS)
    options = parser.parse_args(given)
    if options.loop is not None:
        print(json.dumps(uvloop.run(loop(json.loads(options.loop)))))
        return 0
    artifacts = options.artifacts or (1_000 if options.quick else 20_000)
    rounds = options.rounds or (1 if options.quick else 3)
    with world(["seaweedfs"]) as servers:
        rate, cost = asyncio.run(measure(servers, artifacts, rounds, options.concurrency))
    print(f"\nservice ÷ bare loop, medians: artifacts/s {rate:.2f}, to be {AIM} or more; CPU {cost:.2f}")
    return 0 if rate >= AIM or options.quick else 1


if __name__ == "__main__":
    sys.exit(main())
