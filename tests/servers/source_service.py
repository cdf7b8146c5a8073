"""What a scripted source knows and answers; `Source` runs it in a process, `in_this_loop` in the loop of a test."""

import json
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, unquote

import jwt

from tests.servers.http import Answer, Request, serving
from tests.servers.source_rules import HEADERS, Documents, Rule

REMEMBERED = 10_000


class SourceService:
    """`GET /docs/{id}`, `/docs/{id}?version=n` or `/docs/{id}/{n}`; `/control` scripts it and tells what came in."""

    def __init__(
        self,
        documents: Documents | None = None,
        *,
        delay_ms: float = 0,
        jwks_uri: str | None = None,
        audience: str | None = None,
    ) -> None:
        """With `jwks_uri` each request for a document needs a token signed by one of those keys, for `audience`."""
        self.requests: deque[dict[str, Any]] = deque(maxlen=REMEMBERED)
        self.counts: Counter[str] = Counter()
        self.in_flight = self.peak = 0
        self._documents = documents or Documents()
        self._delay = delay_ms / 1000
        self._rules: list[Rule] = []
        self._keys = jwt.PyJWKClient(jwks_uri) if jwks_uri else None
        self._audience = audience
        self._checked: set[str] = set()

    def script(self, **rule: Any) -> None:
        """Adds a rule; the fields of `Rule`."""
        self._rules.append(Rule(**rule))

    def clear(self) -> None:
        """Forgets rules, requests and counts."""
        self._rules.clear()
        self.requests.clear()
        self.counts.clear()
        self.peak = self.in_flight

    def answer(self, request: Request) -> Answer:
        path, _, query = request.target.partition("?")
        parts = path.split("/")[1:]
        if parts[0] == "control":
            return self._control(request, parts[-1])
        if parts[0] != "docs" or len(parts) not in (2, 3) or request.method != "GET":
            return Answer(404)
        version = unquote(parts[2]) if len(parts) == 3 else parse_qs(query).get("version", [None])[0] if query else None
        return self._document(request, unquote(parts[1]), version)

    def _document(self, request: Request, identifier: str, version: str | None) -> Answer:
        self.counts[identifier] += 1
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        if not self._authorized(request.headers.get("authorization", "")):
            answer = Answer(401, {"WWW-Authenticate": "Bearer"})
        else:
            document = self._documents.of(identifier, version)
            rule = next((rule for rule in self._rules if rule.applies(identifier, self.in_flight)), None)
            if rule is None:
                answer = Answer(200, HEADERS, document)
            else:
                if rule.times is not None:
                    rule.times -= 1
                answer = rule.answer(document)
        answer.delay = answer.delay or self._delay
        answer.finished = self._finished
        seen = {"target": request.target, "id": identifier, "version": version, "status": answer.status}
        self.requests.append({**seen, "headers": request.headers})
        return answer

    def _finished(self) -> None:
        self.in_flight -= 1

    def _authorized(self, authorization: str) -> bool:
        """Whether the header has a good bearer token; a token is checked once, then only whether it has expired."""
        token = authorization.removeprefix("Bearer ")
        if self._keys is None:
            return True
        try:
            if token not in self._checked:
                key = self._keys.get_signing_key_from_jwt(token)
                algorithms = ["RS256", "RS512", "PS256", "ES256"]
                jwt.decode(token, key, algorithms, {"verify_aud": self._audience is not None}, audience=self._audience)
                self._checked.add(token)
            jwt.decode(token, options={"verify_signature": False, "verify_exp": True})
        except jwt.PyJWTError:
            return False
        return True

    def _control(self, request: Request, what: str) -> Answer:
        match request.method, what:
            case "PUT", "control":
                given = json.loads(request.body)
                for rule in given if isinstance(given, list) else [given]:
                    self.script(**rule)
                return Answer(204)
            case "DELETE", "control":
                self.clear()
                return Answer(204)
            case "GET", "requests":
                return _json(list(self.requests))
            case "GET", "counts":
                return _json(self.counts)
            case "GET", "control":
                return _json({"requests": self.counts.total(), "in_flight": self.in_flight, "peak": self.peak})
            case _:
                return Answer(404)


@asynccontextmanager
async def in_this_loop(service: SourceService) -> AsyncIterator[str]:
    """Serves the source in the running loop; gives its URL."""
    async with serving(service.answer) as port:
        yield f"http://127.0.0.1:{port}"


def _json(value: Any) -> Answer:
    return Answer(200, {"Content-Type": "application/json"}, json.dumps(value).encode())
