"""What one connection may cost, on a real server in the loop of the test with limits that are reached at once."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from app.api.http.connections import PIPELINED, Limits, bounded_http
from app.api.http.measure import Measured
from app.telemetry import metrics

GET = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
HEALTH = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"


class App:
    """Answers at once, except `/slow`, until `go`; `/large` has a body that no buffer takes, `/read` reads all."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.gone = asyncio.Event()
        self.headers: list[tuple[bytes, bytes]] = []
        self.asked = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked += 1
        self.headers = scope["headers"]
        while scope["path"] == "/read" and (await receive()).get("more_body"):
            pass
        if scope["path"] == "/slow":
            await self.go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/large":
            for _ in range(2000):
                await send({"type": "http.response.body", "body": b"a" * 65536, "more_body": True})
            self.gone.set()
        await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def served(app: Any, state: ServerState | None = None, **limits: Any) -> AsyncIterator[int]:
    protocol = bounded_http(Limits(**limits))
    config = uvicorn.Config(app, http=protocol, ws="none", lifespan="off", log_config=None)
    config.load()
    state = state or ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: protocol(config, state, {}), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in tuple(state.connections):
            connection.transport.abort()


_writers: list[asyncio.StreamWriter] = []


@pytest.fixture(autouse=True)
async def closed_clients() -> AsyncIterator[None]:
    """What a test leaves open is closed at its end, or its collector would warn in the middle of another one."""
    yield
    while _writers:
        _writers[-1].close()
        with suppress(OSError):
            await _writers.pop().wait_closed()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connected(cls, port: int) -> "Client":
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        _writers.append(writer)
        return cls(reader, writer)

    async def rest(self) -> bytes:
        """What comes until the server closes."""
        try:
            return await asyncio.wait_for(self.reader.read(), 10)
        except ConnectionError:
            return b""

    async def ask(self, request: bytes) -> bytes:
        """The answer, which has the body of `App`."""
        self.writer.write(request)
        return await asyncio.wait_for(self.reader.readuntil(b"ok\r\n0\r\n\r\n"), 10)


def closed(reason: str) -> float:
    return metrics.REGISTRY.get_sample_value("pas_http_connections_closed_total", {"reason": reason}) or 0


async def test_a_connection_that_says_nothing_is_closed_without_a_word() -> None:
    async with served(App(), head=0.05) as port:
        client = await Client.connected(port)
        assert await client.rest() == b""


@pytest.mark.parametrize("begin", [b"GET /x HT", b"GET /x HTTP/1.1\r\nHost: x\r\nX-A"])
async def test_a_head_that_does_not_end_is_408(begin: bytes) -> None:
    before = closed("head too slow")
    async with served(App(), head=0.05) as port:
        client = await Client.connected(port)
        client.writer.write(begin)
        head, _, body = (await client.rest()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["title"] == "Request Timeout"
    assert closed("head too slow") == before + 1


async def test_the_second_request_of_a_connection_has_the_same_time() -> None:
    async with served(App(), head=0.2) as port:
        client = await Client.connected(port)
        assert (await client.ask(GET)).startswith(b"HTTP/1.1 200 ")
        client.writer.write(b"GET /x")
        assert (await client.rest()).startswith(b"HTTP/1.1 408 ")


async def test_who_waits_for_an_answer_is_not_late() -> None:
    app = App()
    async with served(app, head=0.02) as port:
        client = await Client.connected(port)
        client.writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET /x")  # and half of the next
        await asyncio.sleep(0.1)
        app.go.set()
        answer = await client.rest()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"HTTP/1.1 408 " in answer


async def test_one_connection_too_many_closes_the_one_that_waited_longest() -> None:
    before = closed("too many")
    async with served(App(), connections=2) as port:
        first, second = await Client.connected(port), await Client.connected(port)
        await first.ask(GET)  # now the second has waited longer
        third = await Client.connected(port)
        assert await second.rest() == b""
        assert (await first.ask(GET)).startswith(b"HTTP/1.1 200 ")
        assert (await third.ask(GET)).startswith(b"HTTP/1.1 200 ")
    assert closed("too many") == before + 1


async def test_where_all_connections_are_busy_only_health_and_metrics_are_answered() -> None:
    app = App()
    async with served(app, connections=1) as port:
        busy = await Client.connected(port)
        busy.writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(0.05)
        refused = await Client.connected(port)
        refused.writer.write(GET)
        answer = await refused.rest()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 5\r\n" in answer
        health = await Client.connected(port)
        answer = await health.ask(HEALTH)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close" in answer
        app.go.set()
        assert (await busy.ask(b"")).startswith(b"HTTP/1.1 200 ")


async def test_who_reads_nothing_of_an_answer_is_cut_off() -> None:
    app, before = App(), closed("reads nothing")
    async with served(app, stalled=0.1) as port:
        client = await Client.connected(port)
        client.writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait_for(app.gone.wait(), 10)  # the rest of the answer goes nowhere
    assert closed("reads nothing") == before + 1


async def test_a_body_that_nobody_reads_ends_the_connection_when_the_client_has_the_answer() -> None:
    async with served(App(), linger=0.05) as port:
        client = await Client.connected(port)
        client.writer.write(b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"a" * 1000)
        answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer


async def test_a_body_that_was_there_in_time_does_not_end_the_connection() -> None:
    async with served(App()) as port:
        client = await Client.connected(port)
        put = b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
        for _ in range(3):
            assert b"connection: close" not in await client.ask(put)


async def test_pipelined_requests_are_answered_in_their_order() -> None:
    async with served(App()) as port:
        client = await Client.connected(port)
        assert (await client.ask(GET * 3)).count(b"HTTP/1.1 200 ") == 1
        assert (await client.ask(b"")).startswith(b"HTTP/1.1 200 ")
        assert (await client.ask(b"")).startswith(b"HTTP/1.1 200 ")


async def test_of_many_pipelined_requests_the_first_are_answered_and_the_rest_is_not_read() -> None:
    app, before = App(), closed("too many at once")
    async with served(app) as port:
        client = await Client.connected(port)
        client.writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n" + GET * 5000)
        await asyncio.sleep(0.05)
        app.go.set()
        answers = await client.rest()
    assert answers.count(b"HTTP/1.1 200 ") == PIPELINED
    assert b"HTTP/1.1 4" not in answers
    assert app.asked == PIPELINED
    assert closed("too many at once") == before + 1


async def test_trailers_are_no_headers() -> None:
    app = App()
    async with served(app) as port:
        client = await Client.connected(port)
        body = b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nAuthorization: Bearer x\r\nHost: y\r\n\r\n"
        await client.ask(b"PUT /read HTTP/1.1\r\nHost: x\r\n" + body)
        assert app.headers == [(b"host", b"x"), (b"transfer-encoding", b"chunked")]
        assert (await client.ask(GET)).startswith(b"HTTP/1.1 200 ")


async def test_a_body_that_breaks_off_in_garbage_is_400_and_no_error_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    async with served(Measured(App()), linger=0.05) as port:
        for path in (b"/x", b"/read"):
            client = await Client.connected(port)
            client.writer.write(b"PUT %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" % path)
            answer = await client.rest()
            assert answer.startswith(b"HTTP/1.1 400 ")
            assert answer.count(b"HTTP/1.1 ") == 1
    assert [record.getMessage() for record in caplog.records if record.levelno > 30] == []


@pytest.mark.parametrize(
    ("length", "status"), [(b"18446744073709551616", 413), (b"9" * 30, 413), (b"12x", 400), (b"-1", 400)]
)
async def test_a_length_beyond_64_bits_is_413_and_one_that_is_none_is_400(length: bytes, status: int) -> None:
    async with served(App(), linger=0.05) as port:
        client = await Client.connected(port)
        client.writer.write(b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: %b\r\n\r\n" % length)
        answer = await client.rest()
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert b"application/problem+json" in answer


async def test_garbage_behind_a_request_does_not_change_its_answer() -> None:
    app = App()
    async with served(app) as port:
        client = await Client.connected(port)
        client.writer.write(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(0.02)
        client.writer.write(b"GARBAGE\r\n\r\n")
        await asyncio.sleep(0.02)
        app.go.set()
        answer = await client.rest()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1 ") == 1


async def test_an_answer_that_a_stop_cuts_off_is_no_error_and_is_not_taken_for_complete(
    caplog: pytest.LogCaptureFixture,
) -> None:
    state = ServerState()
    async with served(Measured(App()), state) as port:
        client = await Client.connected(port)
        client.writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await client.reader.readexactly(1000)
        for connection in tuple(state.connections):
            connection.shutdown()
        for task in tuple(state.tasks):
            task.cancel()
        assert not (await client.rest()).endswith(b"0\r\n\r\n")
        await asyncio.gather(*state.tasks)
    assert [record.levelname for record in caplog.records if record.levelno > 30] == []
