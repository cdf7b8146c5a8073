"""Watches a service from a process of its own: how long its health makes wait, and the memory of all its processes.

Beside the service a server that does nothing is asked at the same moments: what that one makes wait is the machine.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.servers.fetch import REPOSITORY
from tests.servers.host import bound_to_us, children

INTERVAL = 0.02
_BOUND = bound_to_us(signal.SIGKILL, None)
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Watched:
    """What was seen, when the block has ended: `worst` seconds more than the machine, `rss` bytes at most, `probes`."""

    worst: float = 0
    rss: int = 0
    probes: int = 0


@contextmanager
def watching(url: str, pid: int) -> Iterator[Watched]:
    """Watches from here on; `pid` is the main process of the service."""
    seen = Watched()
    process = subprocess.Popen(
        [*_BOUND, sys.executable, "-m", "tests.support.watching", url.rpartition(":")[2], str(pid)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()  # it has begun
        yield seen
        out, _ = process.communicate("\n", timeout=60)
        seen.worst, seen.rss, seen.probes = json.loads(out)
    finally:
        process.kill()
        process.wait()


def rss_of(pid: int) -> int:
    """Bytes in memory of a process and its children."""
    total = 0
    for each in (pid, *children(pid)):
        with suppress(OSError):
            total += int(Path(f"/proc/{each}/statm").read_text().split()[1]) * _PAGE
    return total


async def _ask(port: int, path: bytes) -> float:
    """Seconds until the first byte of the answer, the connection included."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    await reader.read(1)
    took = time.monotonic() - began
    writer.close()
    return took


async def _idle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    writer.close()


async def _serve_nothing() -> None:
    server = await asyncio.start_server(_idle, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201
    await server.serve_forever()


async def _watch(port: int, pid: int) -> None:
    control = await asyncio.create_subprocess_exec(
        *(*_BOUND, sys.executable, "-m", "tests.support.watching", "nothing"), stdout=asyncio.subprocess.PIPE
    )
    assert control.stdout is not None
    nothing = int(await control.stdout.readline())
    await _ask(nothing, b"/")
    end = asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    print("watching", flush=True)  # noqa: T201
    worst, rss, probes = 0.0, 0, 0
    while not end.done():
        health, machine = await asyncio.gather(_ask(port, b"/health/live"), _ask(nothing, b"/"))
        worst, rss, probes = max(worst, health - machine), max(rss, rss_of(pid)), probes + 1
        await asyncio.sleep(INTERVAL)
    control.kill()
    await control.wait()
    print(json.dumps([worst, rss, probes]))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(_serve_nothing() if sys.argv[1] == "nothing" else _watch(int(sys.argv[1]), int(sys.argv[2])))
