"""The servers of the benchmark, and what runs against them: floors and services."""

import asyncio
import contextlib
import itertools
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.elsewhere import Elsewhere
from bench.otlp import OtlpSink
from bench.service import Client, Measured, Peers, Service, Store
from tests.servers import Kafka, Oidc, Postgres, SeaweedFS
from tests.servers.fetch import REPOSITORY
from tests.servers.registry import Registry
from tests.servers.s3_sink import S3Sink
from tests.servers.source import Source

DOCUMENT_SIZE = 10_240
SOURCE_DELAY_MS = 20
PARTITIONS = 8

WARM_UP = 600
"""Tasks before the first measured one: connections, schema, tokens, the congestion control of the source."""

ELSEWHERE = "elsewhere"
"""The store that stands with a source of its own on what counts as another machine."""

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class World:
    """Real servers, started once; `stores` by name."""

    kafka: Kafka
    postgres: Postgres
    oidc: Oidc
    source: Source
    otlp: OtlpSink
    stores: dict[str, Store]
    registry: Registry | None = None
    elsewhere: Elsewhere | None = None

    @property
    def peers(self) -> Peers:
        return self._peers_of(self.source.uri)

    def _peers_of(self, source_uri: str) -> Peers:
        return Peers(
            kafka=self.kafka.bootstrap,
            issuer=self.oidc.issuer,
            jwks_uri=self.oidc.jwks_uri,
            token_uri=self.oidc.token_uri,
            source_uri=source_uri,
            otlp=self.otlp.url,
            registry=self.registry.url if self.registry else None,
        )

    @asynccontextmanager
    async def service(
        self,
        store: str,
        concurrency: int,
        *,
        traces: bool,
        live: bool = False,
        avro: bool = False,
        processes: int = 1,
        checkout: Path = REPOSITORY,
    ) -> AsyncIterator[Client]:
        """A running service, ready, on a new database and new topics; its source is where its store is."""
        label = f"bench{next(_numbers)}"
        url = await asyncio.to_thread(self.postgres.create_database, label)
        service = Service(
            label,
            self.peers if store != ELSEWHERE or self.elsewhere is None else self._peers_of(self.elsewhere.source_uri),
            self.stores[store],
            url,
            concurrency=concurrency,
            traces=traces,
            live=live,
            avro=avro,
            processes=processes,
            checkout=checkout,
        )
        for topic in service.topics:
            await asyncio.to_thread(self.kafka.create_topic, topic, PARTITIONS)
        await asyncio.to_thread(service.start)
        try:
            token = await asyncio.to_thread(self.oidc.token, "pas-admin", ttl=7200)
            async with Client.of(service, token) as client:
                yield client
        finally:
            await asyncio.to_thread(service.kill)  # open tasks would be worked on: nothing waits for them
            await asyncio.to_thread(service.close)

    @asynccontextmanager
    async def floor(self, store: str) -> AsyncIterator["FloorProcess"]:
        topic = f"floor{next(_numbers)}"
        await asyncio.to_thread(self.kafka.create_topic, topic, PARTITIONS)
        into = self.stores[store]
        settings = {
            "token": await asyncio.to_thread(self.oidc.token, "source-client", ttl=7200),
            "source": self.source.uri,
            "s3": into.url,
            "region": into.region,
            "access_key": into.access_key,
            "secret_key": into.secret_key,
            "bucket": into.bucket,
            "kafka": self.kafka.bootstrap,
            "topic": topic,
        }
        assert self.otlp.data is not None
        file = self.otlp.data / f"{topic}.json"
        file.write_text(json.dumps(settings))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bench.floor",
            str(file),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
        )
        try:
            yield FloorProcess(process)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class FloorProcess:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def measure(self, tasks: int, concurrency: int) -> Measured:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        wanted = {"tasks": tasks, "concurrency": concurrency, "run": next(_numbers)}
        self._process.stdin.write(json.dumps(wanted).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the floor ended")
        taken = json.loads(line)
        return Measured(tasks, taken["wall"], taken["cpu"])


@contextmanager
def world(stores: list[str], *, avro: bool = False) -> Iterator[World]:
    """All servers, started together; a schema registry only for Avro."""
    registry = Registry() if avro else None
    kafka, postgres, oidc, otlp = Kafka(benchmark=True), Postgres(durable=True), Oidc(), OtlpSink()
    seaweedfs = SeaweedFS() if "seaweedfs" in stores else None
    sink = S3Sink(keep=2 * WARM_UP) if "sink" in stores else None
    elsewhere = Elsewhere(DOCUMENT_SIZE) if ELSEWHERE in stores else None
    with ExitStack() as stack:
        all_servers = (kafka, postgres, oidc, otlp, seaweedfs, sink, registry, elsewhere)
        servers = [server for server in all_servers if server is not None]
        for server in servers:
            stack.callback(server.close)
        with ThreadPoolExecutor(len(servers)) as threads:
            list(threads.map(lambda server: server.start(), servers))
        source = Source(size=DOCUMENT_SIZE, delay_ms=SOURCE_DELAY_MS, jwks_uri=oidc.jwks_uri, audience="psf-source")
        stack.enter_context(source)
        known = {}
        if seaweedfs is not None:
            seaweedfs.create_bucket("pas")
            known["seaweedfs"] = Store(
                "seaweedfs", seaweedfs.url, seaweedfs.region, seaweedfs.access_key, seaweedfs.secret_key
            )
        if sink is not None:
            known["sink"] = Store("sink", sink.url, sink.region, sink.access_key, sink.secret_key)
        if elsewhere is not None:
            keys = (elsewhere.access_key, elsewhere.secret_key)
            known[ELSEWHERE] = Store(ELSEWHERE, elsewhere.store_url, elsewhere.region, *keys)
        yield World(kafka, postgres, oidc, source, otlp, known, registry, elsewhere)
