"""One `pas serve` process of the benchmark: real settings, logs as JSON into its log file, measured from outside."""

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import httpx
from typing_extensions import override

from tests.servers.fetch import REPOSITORY
from tests.servers.host import children
from tests.servers.ports import free_ports, get
from tests.servers.process import NotReady, ServerProcess

MESSAGE, TOPIC = "OsvRecordPublishedEvent", "psf-osv-record-published"
OAUTH_CLIENT = "bench-source"

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Peers:
    """What a service needs to know of the servers around it."""

    kafka: str
    issuer: str
    jwks_uri: str
    token_uri: str
    source_uri: str
    otlp: str
    registry: str | None = None


@dataclass(frozen=True, slots=True)
class Store:
    """An S3 as the service reaches it."""

    name: str
    url: str
    region: str
    access_key: str
    secret_key: str
    bucket: str = "pas"


@dataclass(frozen=True, slots=True)
class Measured:
    """One run: `cpu` in seconds of the process, `cpu_children` of the processes it started, `wall` in seconds."""

    tasks: int
    wall: float
    cpu: float
    cpu_children: float = 0.0

    @property
    def rate(self) -> float:
        return self.tasks / self.wall

    @property
    def cost(self) -> float:
        """Microseconds of CPU for one task, those of child processes included."""
        return (self.cpu + self.cpu_children) / self.tasks * 1e6


class Service(ServerProcess):
    """`pas serve` on its own database and topics (`name` tells them apart), so that several can live side by side."""

    name = "pas"
    start_timeout = 120

    def __init__(
        self,
        label: str,
        peers: Peers,
        store: Store,
        database_url: str,
        *,
        concurrency: int,
        traces: bool,
        live: bool = False,
        avro: bool = False,
        processes: int = 1,
        checkout: Path = REPOSITORY,
    ) -> None:
        """`live`: messages of the archive type's topic are archived too; `avro`: what is published is in Avro."""
        super().__init__()
        self.label = label
        self.database_url = database_url
        self.port = 0
        self._peers = peers
        self._store = store
        self._concurrency = concurrency
        self._traces = traces
        self._live = live
        self._avro = avro
        self._processes = processes
        self._checkout = checkout
        self.topics = (f"{label}-commands", f"{label}-commands-dlq", f"{label}-events")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @override
    def prepare(self, data: Path) -> None:
        self.port = free_ports(1)
        archive_type: dict[str, object] = {
            "messageType": MESSAGE,
            "topic": TOPIC,
            "uri": self._peers.source_uri,
            "oauthClientId": OAUTH_CLIENT,
        }
        if self._live:
            archive_type["reference"] = {"id": "references.record.id"}
        archive_types = [archive_type]
        (data / "archive-types.yml").write_text(json.dumps({"archiveTypes": archive_types}))
        (data / "application.yml").write_text(json.dumps(self._settings(data)))  # JSON is YAML

    @override
    def command(self) -> list[str]:
        several = ["--processes", str(self._processes)] if self._processes > 1 else []
        return [sys.executable, "-m", "app", "serve", "--config", f"{self.data}/application.yml", "--migrate", *several]

    @override
    def environment(self) -> dict[str, str]:
        traces = {"OTEL_EXPORTER_OTLP_ENDPOINT": self._peers.otlp} if self._traces else {"OTEL_SDK_DISABLED": "true"}
        log = {"PAS_LOG_FORMAT": "json", "PAS_LOG_LEVEL": "INFO"}
        return {"PYTHONPATH": str(self._checkout), "TMPDIR": str(self.data), **log, **traces}

    @override
    def check(self) -> None:
        if b" 200 " not in get(self.port, "/health/ready")[:15]:
            raise NotReady("not ready")

    def _settings(self, data: Path) -> dict[str, object]:
        peers, store = self._peers, self._store
        encoding = {"encoding": "avro", "schema-registry-url": peers.registry} if self._avro else {}
        return {
            "server": {"address": "127.0.0.1", "port": self.port},
            "jeap": {
                "processarchive": {
                    "backfill": {
                        "enabled": True,
                        "topic": self.topics[0],
                        "system-name": "psf",
                        "service-name": self.label,
                        "concurrency": self._concurrency,
                    },
                    "configuration": {"location": f"{data}/archive-types.yml"},
                    "registry": {"location": f"{self._checkout}/contracts/archive-types"},
                    "archivedartifact": {
                        "event-topic": self.topics[2],
                        "system-id": "ch.example.psf",
                        "system-name": "PSF",
                    },
                    "objectstorage": {
                        "connection": {
                            "access-url": store.url,
                            "region": store.region,
                            "access-key": store.access_key,
                            "secret-key": store.secret_key,
                        },
                        "storage": {"bucket": store.bucket},
                        "object-lock-enabled": True,
                        "object-lock-mode": "COMPLIANCE",
                    },
                },
                "messaging": {"kafka": {"bootstrap-servers": peers.kafka, **encoding}},
                "security": {
                    "oauth2": {
                        "resourceserver": {
                            "system-name": "psf",
                            "issuers": [{"issuer": peers.issuer, "jwk-set-uri": peers.jwks_uri}],
                        },
                        "client": {
                            OAUTH_CLIENT: {
                                "token-uri": peers.token_uri,
                                "client-id": "source-client",
                                "client-secret": "secret",
                            }
                        },
                    }
                },
                "datasource": {"url": self.database_url},
            },
        }


class Client:
    """Submits jobs to a service and sees in its database, at no cost for the service, when they are done."""

    def __init__(self, service: Service, token: str, http: httpx.AsyncClient, database: asyncpg.Connection) -> None:
        self.service = service
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/yaml"}
        self._http = http
        self._database = database

    async def submit(self, ids: Iterable[str]) -> UUID:
        job_id = uuid4()
        answer = await self._http.put(f"/api/jobs/{job_id}", content=body_of(ids), headers=self._headers)
        answer.raise_for_status()
        return job_id

    async def pause(self, job_id: UUID) -> None:
        (await self._http.post(f"/api/jobs/{job_id}/pause", headers=self._headers)).raise_for_status()

    async def open_tasks(self, job_id: UUID) -> int:
        return int(await self._database.fetchval("SELECT open FROM backfill_job WHERE id = $1", job_id))

    async def completed(self, job_id: UUID, timeout: float = 300) -> None:
        deadline = time.monotonic() + timeout
        while open_tasks := await self.open_tasks(job_id):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{open_tasks} tasks open after {timeout} s\n{self.service.log_tail(5)}")
            await asyncio.sleep(0.02)
        failed = await self._database.fetchval("SELECT failed FROM backfill_job WHERE id = $1", job_id)
        if failed:
            text = await self._database.fetchval(
                "SELECT message FROM backfill_task WHERE job_id = $1 AND state = 'failed' LIMIT 1", job_id
            )
            raise RuntimeError(f"{failed} tasks failed: {text}")

    async def report(self, job_id: UUID) -> bytes:
        answer = await self._http.get(f"/api/jobs/{job_id}/report", headers=self._headers)
        answer.raise_for_status()
        return answer.content

    async def measure(self, ids: list[str]) -> Measured:
        """From before the PUT until the last outcome is recorded; spans that wait for their export count as well."""
        cpu, cpu_children = cpu_seconds(self.service.pid)
        started = time.perf_counter()
        job_id = await self.submit(ids)
        await self.completed(job_id, timeout=max(300, len(ids) / 50))
        wall = time.perf_counter() - started
        await asyncio.sleep(0.2)
        cpu_after, cpu_children_after = cpu_seconds(self.service.pid)
        return Measured(len(ids), wall, cpu_after - cpu, cpu_children_after - cpu_children)

    @classmethod
    @contextlib.asynccontextmanager
    async def of(cls, service: Service, token: str):  # type: ignore[no-untyped-def]
        database = await asyncpg.connect(service.database_url)
        try:
            async with httpx.AsyncClient(base_url=service.url, timeout=600) as http:
                yield cls(service, token, http, database)
        finally:
            await database.close()


def body_of(ids: Iterable[str]) -> bytes:
    references = "".join(f"  - id: {each}\n" for each in ids)
    return f"message: {MESSAGE}\ntopic: {TOPIC}\narchiveDataReferences:\n{references}".encode()


def cpu_seconds(pid: int) -> tuple[float, float]:
    """User and system time of the process, and of its children that live and that have ended."""
    own, ended = _times(pid)
    return own, ended + sum(sum(_times(child)) for child in children(pid))


def _times(pid: int) -> tuple[float, float]:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS, (int(fields[13]) + int(fields[14])) / TICKS
