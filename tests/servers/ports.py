"""Free loopback ports for servers that start soon."""

import random
import socket
import threading

from tests.servers.process import NotReady

# Below the range from which Linux takes the ports of outgoing connections (32768 and up), also after adding 10,000.
_RANGE = range(10_000, 22_000)
_given: set[int] = set()
_lock = threading.Lock()


def free_ports(count: int, *, shadow: int = 0) -> int:
    """The first of `count` neighbouring free ports; with `shadow`, those so much higher are free as well."""
    with _lock:
        for _ in range(1000):
            first = random.choice(_RANGE)
            block = set(range(first, first + count))
            if shadow:
                block |= {port + shadow for port in block}
            if block.isdisjoint(_given) and all(_is_free(port) for port in block):
                _given.update(block)
                return first
    raise OSError(f"no {count} neighbouring free ports")


def connectable(port: int) -> None:
    """Raises OSError when nothing listens on the loopback port."""
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        pass


def get(port: int, path: str) -> bytes:
    """The status line and the rest of an answer to a plain HTTP GET, for checks of whether a server is up."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    if not answer.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")):
        raise NotReady(f"not HTTP: {answer[:80]!r}")
    return answer


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
