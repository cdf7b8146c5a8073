"""What stands before a schema registry in an installation: a proxy that asks for a user and a password."""

import base64

import httpx
from typing_extensions import override

from tests.servers.client import CLIENT
from tests.servers.http import Answer, Request
from tests.servers.in_thread import InThread


class RegistryProxy(InThread):
    """Passes requests with the right credentials on to `target`; `refused` counts the others."""

    def __init__(self, target: str, username: str, password: str) -> None:
        super().__init__()
        self._target = target
        self._expected = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
        self.refused = self.passed = 0

    @override
    def _answer(self, request: Request) -> Answer:
        if request.headers.get("authorization") != self._expected:
            self.refused += 1
            return Answer(status=401, headers={"WWW-Authenticate": "Basic"})
        self.passed += 1
        headers = {name: value for name, value in request.headers.items() if name == "content-type"}
        try:
            answer = CLIENT.request(
                request.method, self._target + request.target, content=request.body, headers=headers, timeout=10
            )
        except httpx.HTTPError:
            return Answer(status=502)
        return Answer(status=answer.status_code, headers={"Content-Type": "application/json"}, body=answer.content)
