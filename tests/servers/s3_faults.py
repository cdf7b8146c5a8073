"""An S3 that misbehaves when told so: the sink of `s3_sink` in a thread, with rules in front of it."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from typing_extensions import override

from tests.servers.http import Answer, Request
from tests.servers.in_thread import InThread
from tests.servers.s3_sink import Sink, error

Fault = Callable[[Request, Callable[[Request], Answer]], Answer]
"""Answers a request; the second argument is the store itself."""


@dataclass
class Rule:
    """Applies to requests of a method whose path contains a text, so many times."""

    method: str
    part: str
    times: int
    fault: Fault


class FaultyS3(InThread):
    """Any bucket is there, versioned and with object lock. Requests that no rule fits are answered by the store."""

    region, access_key, secret_key = "us-east-1", "faulty", "faulty-secret"

    def __init__(self) -> None:
        super().__init__()
        self.created: Counter[str] = Counter()
        """Versions made, by path."""
        self._sink = Sink(keep=100_000)
        self._rules: list[Rule] = []

    def create_bucket(self, name: str) -> str:
        return name

    def fault(self, method: str, fault: Fault, *, part: str = "", times: int = 1_000_000) -> Rule:
        rule = Rule(method, part, times, fault)
        self._rules.append(rule)
        return rule

    def versions(self, part: str) -> int:
        """Made under paths that contain the text."""
        return sum(count for path, count in self.created.items() if part in path)

    def mend(self) -> None:
        self._rules.clear()

    @override
    def _answer(self, request: Request) -> Answer:
        for rule in self._rules:
            if rule.times > 0 and rule.method == request.method and rule.part in request.target:
                rule.times -= 1
                return rule.fault(request, self._store)
        return self._store(request)

    def _store(self, request: Request) -> Answer:
        answer = self._sink.answer(request)
        if request.method == "PUT" and answer.status == 200 and "?" not in request.target:
            self.created[request.target] += 1
        return answer


def says(status: int, code: str) -> Fault:
    """An error, nothing is done."""
    return lambda request, store: error(status, code)


def resets(request: Request, store: Callable[[Request], Answer]) -> Answer:
    """The connection is reset, nothing is done."""
    return Answer(drop="connection")


def resets_afterwards(request: Request, store: Callable[[Request], Answer]) -> Answer:
    """It is done, but the answer is lost."""
    store(request)
    return Answer(drop="connection")


def truncates(request: Request, store: Callable[[Request], Answer]) -> Answer:
    """It is done; the answer announces more than comes."""
    answer = store(request)
    return Answer(answer.status, answer.headers, b"<?xml version='1.0'?><Error><Code>Internal", drop="body")
