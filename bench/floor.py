"""The floor, in a process of its own: GET, schema check, SHA-256, signed PUT and event in a bare loop, nothing else.

Reads a JSON line per run on stdin (`{"concurrency": …, "tasks": …, "run": …}`), answers with a JSON line on stdout.
"""

import asyncio
import hashlib
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import aiohttp
import orjson
import uvloop
from aiokafka import AIOKafkaProducer

from app.catalog.registry import Registry, load_registry
from app.domain.archive_types import SchemaName
from app.objectstore import Upload
from app.objectstore.s3_connection import S3Connection, S3Options
from app.objectstore.s3_put import HotPut
from tests.servers.fetch import REPOSITORY

SCHEMA = SchemaName("PSF", "OsvRecord", 1)


class Floor:
    """The same parts as in the service where there is a choice: aiohttp, jsonschema-rs, the hot put, aiokafka."""

    def __init__(
        self,
        registry: Registry,
        http: aiohttp.ClientSession,
        put: HotPut,
        producer: AIOKafkaProducer,
        settings: dict[str, str],
    ) -> None:
        self._check = registry.entries[SCHEMA][1].check
        self._http = http
        self._put = put
        self._producer = producer
        self._settings = settings
        self._headers = {"Authorization": f"Bearer {settings['token']}"}

    async def one(self, name: str) -> None:
        url = self._settings["source"].replace("{id}", name)
        async with self._http.get(url, headers=self._headers) as answer:
            content = await answer.read()
            if answer.status != 200:
                raise RuntimeError(f"source: HTTP {answer.status}")
        if self._check(content) is not None:
            raise RuntimeError("the document does not match its schema")
        digest = hashlib.sha256(content).hexdigest()
        stored = await self._put.put(
            Upload(
                bucket=self._settings["bucket"],
                key=f"PSF/OsvRecord/{digest[:2]}/{name}/v0",
                content=content,
                content_type="application/json",
                sha256=digest,
                user_metadata={
                    "content-type": "application/json",
                    "system": "PSF",
                    "schema": "OsvRecord",
                    "schema-version": "1",
                    "job-id": "88dbb65f-9634-4685-bc86-17b72d715d3e",
                    "hash": digest,
                    "schema-file-key": "schemas/PSF/OsvRecord_v1.schema.json",
                    "schema-file-version-id": "v1",
                    "reference-id": name,
                },
                retain_days=90,
                tag=("lifecycle", "PSF-OsvRecord"),
            )
        )
        event = orjson.dumps(_event(name, digest, stored.bucket, stored.key, stored.version_id))
        await self._producer.send_and_wait(self._settings["topic"], event, key=name.encode())

    async def run(self, names: list[str], concurrency: int) -> None:
        rest = iter(names)

        async def worker() -> None:
            for name in rest:
                await self.one(name)

        await asyncio.gather(*(worker() for _ in range(concurrency)))


def _event(name: str, digest: str, bucket: str, key: str, version_id: str) -> dict[str, object]:
    """As large as the service's event."""
    return {
        "identity": {
            "eventId": str(uuid4()),
            "idempotenceId": f"CreateArtifactCommand_88dbb65f-9634-4685-bc86-17b72d715d3e-10:{name}:none-event",
            "created": int(datetime.now(UTC).timestamp() * 1000),
        },
        "type": {
            "name": "SharedArchivedArtifactVersionCreatedEvent",
            "version": "2.0.2",
            "variant": "PSF_OsvRecord",
        },
        "publisher": {"system": "PSF", "service": "floor"},
        "references": {
            "archivedArtifact": {
                "type": "archivedArtifact",
                "referenceId": name,
                "referenceIdHash": digest,
                "referenceIdType": "org.python.advisory.OsvRecord",
                "referenceIdTypeHash": digest,
                "version": None,
            },
            "archivedArtifactType": {
                "type": "archivedArtifactType",
                "contentType": "application/json",
                "system": "PSF",
                "dataSchemaType": "OsvRecord",
                "dataSchemaVersion": 1,
            },
            "storageObject": {
                "type": "storageobject",
                "storageObjectBucket": bucket,
                "storageObjectKey": key,
                "storageObjectVersionId": version_id,
            },
        },
        "payload": {"expiration": {"days": 90}, "metadata": []},
        "processId": "88dbb65f-9634-4685-bc86-17b72d715d3e",
        "domainEventVersion": "1.3.0",
    }


async def main(settings: dict[str, str]) -> None:
    registry = load_registry(REPOSITORY / "contracts" / "archive-types")
    connection = S3Connection(
        S3Options(
            access_url=settings["s3"],
            region=settings["region"],
            access_key=settings["access_key"],
            secret_key=settings["secret_key"],
            connections=1000,
        )
    )
    producer = AIOKafkaProducer(bootstrap_servers=settings["kafka"], acks="all", enable_idempotence=True, linger_ms=0)
    await producer.start()
    loop = asyncio.get_running_loop()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as http:
        floor = Floor(registry, http, HotPut(connection), producer, settings)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            wanted = json.loads(line)
            names = [f"floor-{wanted['run']}-{number:06}" for number in range(wanted["tasks"])]
            cpu, wall = time.process_time(), time.perf_counter()
            await floor.run(names, wanted["concurrency"])
            taken = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
            sys.stdout.write(json.dumps(taken) + "\n")
            sys.stdout.flush()
    await producer.stop()
    await connection.close()


if __name__ == "__main__":
    uvloop.run(main(json.loads(Path(sys.argv[1]).read_text())))
