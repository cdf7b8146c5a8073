"""Apache Kafka from Maven Central: one node in KRaft mode, with a class data archive for fast starts."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, for_code
from typing_extensions import override

from tests.servers.fetch import PINS, fetched, need, run
from tests.servers.ports import connectable, free_ports
from tests.servers.process import NotReady, ServerProcess, run_sync

VERSION = "4.3.1"  # 4.4.0 lacks a dependency on Central
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"


class Kafka(ServerProcess):
    """A broker that makes no topics by itself; `benchmark` gives it 512 MB and the optimizing compiler."""

    name = "kafka"

    def __init__(self, *, benchmark: bool = False) -> None:
        super().__init__()
        self.benchmark = benchmark
        self.port = 0
        self._classes = ["-Xshare:auto"]

    @property
    def bootstrap(self) -> str:
        """The value of `bootstrap.servers`."""
        return f"127.0.0.1:{self.port}"

    def create_topic(self, name: str, partitions: int = 1, config: Mapping[str, str] | None = None) -> None:
        run_sync(_create_topic(self.bootstrap, NewTopic(name, partitions, 1, topic_configs=dict(config or {}))))

    @override
    def prepare(self, data: Path) -> None:
        prepared = fetch()
        self._classes = [f"-XX:SharedArchiveFile={prepared / 'classes.jsa'}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]
        self._configure(data)
        shutil.copytree(prepared / "formatted", data / "log")

    @override
    def command(self) -> list[str]:
        size = ["-Xms512m", "-Xmx512m"] if self.benchmark else ["-Xms128m", "-Xmx256m", "-XX:TieredStopAtLevel=1"]
        return [java(), *size, "-XX:+UseSerialGC", *self._classes, *class_path(), "kafka.Kafka", "server.properties"]

    @override
    def check(self) -> None:
        connectable(self.port)
        run_sync(_see_broker(self.bootstrap))

    def _configure(self, data: Path) -> None:
        self.port = free_ports(2)
        (data / "server.properties").write_text(properties(self.port, data / "log"))


class _Unprepared(Kafka):
    """The first start ever: formats the log directory and at its end writes down which classes were loaded."""

    name = "kafka-first"

    def __init__(self, target: Path) -> None:
        super().__init__()
        self._target = target
        self._classes = [f"-XX:ArchiveClassesAtExit={target / 'classes.jsa'}"]

    @override
    def prepare(self, data: Path) -> None:
        self._configure(data)
        tool = [java(), "-XX:+UseSerialGC", *class_path(), "kafka.tools.StorageTool"]
        run([*tool, "format", "-t", "cGFzLXRlc3QtY2x1c3Rlcg", "-c", "server.properties"], cwd=data)
        shutil.copytree(data / "log", self._target / "formatted")


def fetch() -> Path:
    """The prepared directory: `classes.jsa` and the formatted, empty log directory."""
    _libs()
    runtime = Path(java()).resolve()
    key = hashlib.sha256(f"{runtime} {runtime.stat().st_mtime_ns} {_libs()}".encode()).hexdigest()[:8]
    return fetched(f"kafka-{VERSION}-prepared-{key}", _prepare)


def java() -> str:
    return need("java", "openjdk-17-jre-headless")


def class_path() -> list[str]:
    return ["-cp", ":".join(str(jar) for jar in sorted(_libs().glob("*.jar")))]


def properties(port: int, log: Path) -> str:
    """The broker's settings. The short session and heartbeat let clients go on 3 s after a SIGKILL instead of 11 s."""
    return f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{port + 1}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{port + 1}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={log}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
"""


def _libs() -> Path:
    def copy(half: Path) -> None:
        maven = need("mvn", "maven")
        shutil.copy(PINS / "kafka.pom.xml", half / "pom.xml")
        repository = half / "repository"  # not the one at home: there may be no home
        run([maven, "-B", "-q", "-C", COPY, f"-DoutputDirectory={half}", f"-Dmaven.repo.local={repository}"], cwd=half)
        shutil.rmtree(repository)

    return fetched(f"kafka-{VERSION}", copy)


def _prepare(half: Path) -> None:
    with _Unprepared(half) as kafka:
        kafka.create_topic("first")
        kafka.stop(timeout=60)
    if not (half / "classes.jsa").exists():  # a Java without class data sharing: slower starts, no harm
        os.truncate(os.open(half / "classes.jsa", os.O_CREAT | os.O_WRONLY, 0o644), 0)


async def _see_broker(bootstrap: str) -> None:
    client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=3000)
    try:
        await client.bootstrap()
    except (KafkaError, TimeoutError) as error:
        raise NotReady(str(error)) from error
    finally:
        await client.close()


async def _create_topic(bootstrap: str, topic: NewTopic) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        answer = await admin.create_topics([topic], timeout_ms=10_000)
        for name, code, *message in answer.topic_errors:
            if code:
                raise for_code(code)(f"{name}: {message}")
    finally:
        await admin.close()
