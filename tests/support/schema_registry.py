"""A schema registry in memory with Confluent's REST API, as far as the service uses it; it can misbehave."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote

from app.broker.registry import RegistryHttp, RegistryOptions, SchemaRegistry
from app.outgoing.trust import trusted
from tests.servers.http import Answer, Request, serving

Misbehave = Callable[[Request], Answer | None]


class FakeRegistry:
    """`schemas` by id, `subjects` → ids of their versions, `compatibility` by subject; `requests` as they came."""

    def __init__(self) -> None:
        self.schemas: dict[int, dict[str, Any]] = {}
        self.subjects: dict[str, list[int]] = {}
        self.compatibility: dict[str, str] = {}
        self.requests: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.misbehave: Misbehave = lambda _request: None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add(self, schema: Any, subject: str = "s", schema_id: int | None = None, **more: Any) -> int:
        """A schema under a subject; its id. `more` are further members of its answer."""
        text = schema if isinstance(schema, str) else json.dumps(schema)
        known = [number for number, each in self.schemas.items() if each["schema"] == text]
        number = schema_id or (known[0] if known else len(self.schemas) + 1)
        self.schemas[number] = {"schema": text, **more}
        self.subjects.setdefault(subject, []).append(number)
        return number

    def answer(self, request: Request) -> Answer:
        self.requests.append(f"{request.method} {request.target}")
        self.headers.append(request.headers)
        parts = [unquote(part) for part in request.target.strip("/").split("/")]
        body = json.loads(request.body) if request.body else {}
        return self.misbehave(request) or self._answer(request.method, parts, body)

    def _answer(self, method: str, parts: list[str], body: dict[str, Any]) -> Answer:
        match method, *parts:
            case "GET", "schemas", "types":
                return well(["AVRO"])
            case "GET", "schemas", "ids", number:
                return well(self.schemas[int(number)]) if int(number) in self.schemas else refused(40403)
            case "GET", "subjects", subject, "versions", version:
                ids = self.subjects.get(subject, [])
                return well(self.schemas[ids[int(version) - 1]]) if int(version) <= len(ids) else refused(40401)
            case "POST", "subjects", subject:
                if subject not in self.subjects:
                    return refused(40401)
                found = [each for each in self.subjects[subject] if self.schemas[each]["schema"] == body["schema"]]
                return well({"subject": subject, "id": found[0]}) if found else refused(40403)
            case "POST", "subjects", subject, "versions":
                return well({"id": self.add(body["schema"], subject)})
            case "PUT", "config", subject:
                self.compatibility[subject] = body["compatibility"]
                return well(body)
            case _:
                return Answer(status=404, body=b"<html>not here</html>")


def well(content: Any) -> Answer:
    return Answer(body=json.dumps(content).encode())


def refused(code: int) -> Answer:
    return Answer(status=code // 100, body=json.dumps({"error_code": code, "message": "no"}).encode())


@asynccontextmanager
async def schema_registry() -> AsyncIterator[FakeRegistry]:
    fake = FakeRegistry()
    async with serving(fake.answer) as fake.port:
        yield fake


def client_of(
    fake: FakeRegistry, username: str | None = None, password: str | None = None, **more: Any
) -> SchemaRegistry:
    """The service's own client. `more` as of `SchemaRegistry`."""
    return SchemaRegistry(RegistryHttp(RegistryOptions(fake.url, username, password), trusted()), **more)
