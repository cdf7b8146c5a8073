"""A source and an object store as on another machine: they answer after a wait and take little of this one."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import uvloop
from typing_extensions import override

from tests.servers.fetch import REPOSITORY
from tests.servers.http import Answer, Connection, Request, head
from tests.servers.ports import connectable, free_ports
from tests.servers.process import ServerProcess
from tests.servers.s3_sink import SMALL, Sink
from tests.servers.source_rules import HEADERS, Documents

SOURCE_WAITS, STORE_WAITS = 0.020, 0.010
"""Seconds from a request to its answer."""

END = b"\r\n\r\n"


class Elsewhere(ServerProcess):
    """Both in one process. The source has the same document for every id and looks at no token; the store forgets
    documents, and is a `Sink` for everything else."""

    name = "elsewhere"
    region, access_key, secret_key = "us-east-1", "elsewhere", "elsewhere-secret"

    def __init__(self, size: int) -> None:
        """`size`: bytes of the document."""
        super().__init__()
        self.port = 0
        self._size = size

    @property
    def source_uri(self) -> str:
        return f"http://127.0.0.1:{self.port}/docs/{{id}}"

    @property
    def store_url(self) -> str:
        return f"http://127.0.0.1:{self.port + 1}"

    @override
    def prepare(self, data: Path) -> None:
        self.port = free_ports(2)

    @override
    def command(self) -> list[str]:
        return [sys.executable, "-m", "bench.elsewhere", str(self.port), str(self._size)]

    @override
    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(REPOSITORY)}

    @override
    def check(self) -> None:
        connectable(self.port + 1)


class WaitingSource(asyncio.Protocol):
    """Counts the ends of heads; its requests have no bodies."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._rest = b""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    @override
    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        asked = data.count(END)
        if asked:
            self._rest = data.rpartition(END)[2]
            asyncio.get_running_loop().call_later(SOURCE_WAITS, self._transport.write, self._answer * asked)
        else:
            self._rest = data


class WaitingStore(Connection):
    """Takes a document without a look at it: only its length and the checksum, which goes into the answer."""

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        super().__init__(answer)
        self._left = 0
        self._put = b""

    @override
    def data_received(self, data: bytes) -> None:
        if self._left:
            self._left -= len(data)
        else:
            end = data.find(END)
            length = int(_header(data, b"\r\nContent-Length: ") or 0)
            first_line = data.partition(b"\r\n")[0]
            if not data.startswith(b"PUT ") or end < 0 or length <= SMALL or b"schema" in first_line:
                super().data_received(data)
                return
            self._put = _header(data, b"\r\nx-amz-checksum-sha256: ")
            self._left = length - (len(data) - end - len(END))
        if self._left == 0 and self._transport is not None:
            answer = _TAKEN % self._put
            asyncio.get_running_loop().call_later(STORE_WAITS, self._transport.write, answer)


_TAKEN = (
    b'HTTP/1.1 200 OK\r\nETag: "0"\r\nx-amz-version-id: v1\r\nx-amz-checksum-sha256: %b\r\nContent-Length: 0\r\n\r\n'
)


def _header(data: bytes, name: bytes) -> bytes:
    at = data.find(name)
    return b"" if at < 0 else data[at + len(name) : data.find(b"\r\n", at + len(name))]


async def _serve(port: int, size: int) -> None:
    document = Documents(size=size).of("PSF-0", None)
    answer = head(Answer(200, HEADERS, document)) + document
    sink = Sink(keep=1000)
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: WaitingSource(answer), "127.0.0.1", port, backlog=1024)
    await loop.create_server(lambda: WaitingStore(sink.answer), "127.0.0.1", port + 1, backlog=1024)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
