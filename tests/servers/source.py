"""A source service that does what a test tells it, in a process of its own (for one in the loop: source_service)."""

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

from typing_extensions import override

from tests.servers.client import CLIENT
from tests.servers.fetch import REPOSITORY
from tests.servers.http import serve
from tests.servers.ports import connectable, free_ports
from tests.servers.process import ServerProcess
from tests.servers.source_rules import Documents, Rule
from tests.servers.source_service import SourceService


class Source(ServerProcess):
    """The source in a process of its own, scripted over its control endpoint."""

    name = "source"

    def __init__(
        self,
        *,
        documents: Path | None = None,
        size: int = 1024,
        delay_ms: float = 0,
        jwks_uri: str | None = None,
        audience: str | None = None,
    ) -> None:
        super().__init__()
        self.port = 0
        self._settings = {
            "documents": str(documents.resolve()) if documents else None,
            "size": size,
            "delay_ms": delay_ms,
            "jwks_uri": jwks_uri,
            "audience": audience,
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def uri(self) -> str:
        """The endpoint for an archive type configuration whose data has no versions."""
        return f"{self.url}/docs/{{id}}"

    @property
    def versioned_uri(self) -> str:
        return f"{self.url}/docs/{{id}}?version={{version}}"

    def script(self, **rule: Any) -> None:
        """Adds a rule; the fields of `Rule`, misspelt ones are refused."""
        CLIENT.put(f"{self.url}/control", json=dataclasses.asdict(Rule(**rule))).raise_for_status()

    def clear(self) -> None:
        """Forgets rules, requests and counts."""
        CLIENT.delete(f"{self.url}/control").raise_for_status()

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The last requests for documents: target (raw), id, version, status, headers (names in lower case)."""
        return list(CLIENT.get(f"{self.url}/control/requests").json())

    @property
    def counts(self) -> dict[str, int]:
        """Requests by id."""
        return dict(CLIENT.get(f"{self.url}/control/counts").json())

    @property
    def load(self) -> dict[str, int]:
        """`requests` in all, `in_flight` now and at the `peak`."""
        return dict(CLIENT.get(f"{self.url}/control").json())

    @override
    def prepare(self, data: Path) -> None:
        self.port = free_ports(1)

    @override
    def command(self) -> list[str]:
        return [sys.executable, "-m", "tests.servers.source"]

    @override
    def environment(self) -> dict[str, str]:
        settings = json.dumps({**self._settings, "port": self.port})
        return {"PYTHONPATH": str(REPOSITORY), "SOURCE_SETTINGS": settings}

    @override
    def check(self) -> None:
        connectable(self.port)


def main() -> None:
    """Serves as `SOURCE_SETTINGS` (JSON) says: port, documents, size, delay_ms, jwks_uri, audience; all optional."""
    settings = json.loads(os.environ.get("SOURCE_SETTINGS", "{}"))
    directory = settings.pop("documents", None)
    documents = Documents(Path(directory) if directory else None, settings.pop("size", 1024))
    port = settings.pop("port", 8090)
    serve(SourceService(documents, **settings).answer, port)


if __name__ == "__main__":
    main()
