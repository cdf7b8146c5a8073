"""Source and store of the benchmark of several processes, on connections that are only played."""

import asyncio
from typing import Any

import pytest

from bench import elsewhere
from bench.elsewhere import WaitingSource, WaitingStore
from bench.processes import SUCCEEDED
from tests.servers.http import Answer

PUT = b"PUT /pas/PSF/a/v0 HTTP/1.1\r\nHost: x\r\nx-amz-checksum-sha256: c3Vt\r\nContent-Length: 5000\r\n\r\n"
BODY = b"x" * 5000


class Transport:
    def __init__(self) -> None:
        self.sent = b""

    def write(self, data: bytes) -> None:
        self.sent += data


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere, "SOURCE_WAITS", 0)
    monkeypatch.setattr(elsewhere, "STORE_WAITS", 0)


async def sent_to(protocol: asyncio.Protocol, *pieces: bytes) -> bytes:
    transport: Any = Transport()
    protocol.connection_made(transport)
    for piece in pieces:
        protocol.data_received(piece)
    await asyncio.sleep(0.01)
    return bytes(transport.sent)


async def test_each_request_for_a_document_has_one_answer() -> None:
    request = b"GET /docs/a HTTP/1.1\r\nHost: x\r\n\r\n"
    assert await sent_to(WaitingSource(b"A."), request) == b"A."
    assert (
        await sent_to(WaitingSource(b"A."), request[:-1], request[-1:], request + request[:9], request[9:]) == b"A." * 3
    )


@pytest.mark.parametrize("pieces", [(PUT + BODY,), (PUT, BODY), (PUT + BODY[:1], BODY[1:4000], BODY[4000:])])
async def test_a_document_is_taken_with_its_checksum(pieces: tuple[bytes, ...]) -> None:
    sent = await sent_to(WaitingStore(lambda _request: Answer(500)), *pieces, *pieces)
    assert sent.count(b"HTTP/1.1 200 OK\r\n") == sent.count(b"x-amz-checksum-sha256: c3Vt\r\n") == 2


async def test_all_else_is_for_the_sink() -> None:
    seen: list[str] = []

    def answer(request: Any) -> Answer:
        seen.append(f"{request.method} {request.target} {len(request.body)}")
        return Answer(404)

    small = PUT.replace(b"5000", b"4")
    schema = PUT.replace(b"PSF/a", b"archive-data-schema/a")
    sent = await sent_to(WaitingStore(answer), small + b"1234", b"HEAD /pas HTTP/1.1\r\nHost: x\r\n\r\n", schema + BODY)
    assert seen == ["PUT /pas/PSF/a/v0 4", "HEAD /pas 0", "PUT /pas/archive-data-schema/a/v0 5000"]
    assert sent.count(b"404") == 3


def test_tasks_are_found_with_and_without_the_number_of_a_process() -> None:
    assert SUCCEEDED.findall('pas_tasks_total{outcome="succeeded"} 3.0\n') == [("", "3.0")]
    page = 'pas_tasks_total{process="1",outcome="failed"} 9.0\npas_tasks_total{process="2",outcome="succeeded"} 1.0\n'
    assert SUCCEEDED.findall(page) == [("2", "1.0")]
