"""A collector of traces that throws them away: answers 200 to OTLP over HTTP."""

import sys
from pathlib import Path

from typing_extensions import override

from tests.servers.fetch import REPOSITORY
from tests.servers.http import Answer, Request, serve
from tests.servers.ports import connectable, free_ports
from tests.servers.process import ServerProcess


class OtlpSink(ServerProcess):
    """In a process of its own; `received` tells how many bytes came."""

    name = "otlp"

    def __init__(self) -> None:
        super().__init__()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @override
    def prepare(self, data: Path) -> None:
        self.port = free_ports(1)

    @override
    def command(self) -> list[str]:
        return [sys.executable, "-m", "bench.otlp", str(self.port)]

    @override
    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(REPOSITORY)}

    @override
    def check(self) -> None:
        connectable(self.port)


class _Counting:
    def __init__(self) -> None:
        self._bytes = 0

    def answer(self, request: Request) -> Answer:
        if request.method == "POST":
            self._bytes += len(request.body)
        return Answer(
            200, {"Content-Type": "application/x-protobuf"}, b"" if request.method == "POST" else b"%d" % self._bytes
        )


if __name__ == "__main__":
    serve(_Counting().answer, int(sys.argv[1]))
