"""No answer that nobody asked for becomes a document: each document here says which reference it is of."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.domain.errors import NoArchiveData, PermanentFailure, TransientFailure
from app.domain.jobs import Reference
from app.sources import transport
from app.sources.http import SourceClient
from app.sources.oauth import OAuthClientOptions
from app.telemetry import metrics
from tests.support.certificates import self_signed
from tests.unit.sources.server import (
    TRACEPARENT,
    RawServer,
    Request,
    answer,
    chunked,
    document,
    serving,
    sources,
)

FOREIGN = document(b'"of nobody"')
LATE = {
    "a document": FOREIGN,
    "a document in chunks": chunked(b'"of nobody"'),
    "no document": answer(404),
    "a failure": answer(500),
    "no data": b"HTTP/1.1 204 No Content\r\n\r\n",
    "garbage": b"\x00garbage\r\n\r\n",
    "a line feed": b"\r\n",
    "half an answer": FOREIGN[:40],
}

Then = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


def own(request: Request) -> bytes:
    return b'"%s"' % request.target.rpartition("/")[2].encode()


async def fetched(client: SourceClient, server: RawServer, id: str) -> str:
    """What came for the reference: its document, or the name of what was raised."""
    try:
        async with client.fetching(server.configuration(), Reference(id), TRACEPARENT) as found:
            return found.content.decode().strip('"')
    except (PermanentFailure, TransientFailure, NoArchiveData) as failure:
        return type(failure).__name__


@pytest.fixture
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections are asked again at once: what is left then is whether anything came on them."""
    monkeypatch.setattr(transport, "REST", 0.0)


@pytest.fixture(params=["plain", "TLS"])
async def tls(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ssl.SSLContext | None]:
    if request.param == "plain":
        yield None
        return
    certificate, key = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    yield context


CASES = [("plain", late) for late in LATE] + [("TLS", "a document"), ("TLS", "garbage")]


@pytest.mark.parametrize(("tls", "late"), CASES, indirect=["tls"])
@pytest.mark.parametrize("milliseconds", [0, 4, 20, 80])
async def test_what_follows_an_answer_is_not_the_answer_to_the_next_reference(
    milliseconds: int, late: str, tls: ssl.SSLContext | None
) -> None:
    """Four at a time, each 10 ms: what comes late comes while the next reference is asked for."""

    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.01)
        good = document(own(request))
        if milliseconds:
            writer.write(good)
            asyncio.get_running_loop().call_later(milliseconds / 1000, writer.write, LATE[late])
        else:
            writer.write(good + LATE[late])

    async with serving(respond, tls) as server, sources() as client:

        async def one_after_another(names: list[str]) -> dict[str, str]:
            return {name: await fetched(client, server, name) for name in names}

        ids = [f"r{number}" for number in range(40)]
        found = await asyncio.gather(*(one_after_another(ids[at::4]) for at in range(4)))
        assert {name: of for part in found for name, of in part.items()} == {name: name for name in ids}


@pytest.mark.parametrize("late", LATE)
async def test_an_idle_connection_on_which_something_came_is_closed_at_once(
    late: str, no_rest: None, tls: ssl.SSLContext | None
) -> None:
    writers: list[asyncio.StreamWriter] = []

    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(document(own(request)))
        if len(writers) > 1:
            await asyncio.sleep(0)
            return
        await writer.drain()
        asyncio.get_running_loop().call_later(0.01, writer.write, LATE[late])

    async with serving(respond, tls) as server, sources() as client:
        assert await fetched(client, server, "first") == "first"
        await asyncio.wait_for(writers[0].wait_closed(), 2)
        assert await fetched(client, server, "second") == "second"
        assert server.connections == 2


@pytest.mark.parametrize(
    "reply",
    [
        document(b'"it"') + FOREIGN,
        document(b'"it"') + b"\n",
        document(b'"it"') + b"garbage\r\n\r\n",
        chunked(b'"it"') + FOREIGN,
        chunked(b'"it"') + b"garbage",
        document(b'"it"', Connection="close") + FOREIGN,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + document(b'"it"') + b"x",
    ],
)
@pytest.mark.parametrize("pieces", [1, 3, 0])
async def test_an_answer_ends_where_it_says_and_what_follows_ends_the_connection(
    reply: bytes, pieces: int, no_rest: None
) -> None:
    """In one segment, in segments of equal length, or byte after byte."""

    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        size = -(-len(reply) // pieces) if pieces else 1
        for at in range(0, len(reply), size):
            writer.write(reply[at : at + size])
            await writer.drain()
            await asyncio.sleep(0.001 if pieces else 0)

    async with serving(respond) as server, sources() as client:
        for _ in range(3):
            assert await fetched(client, server, "it") == "it"
            await asyncio.sleep(0.01)
        assert server.connections == 3


@pytest.mark.parametrize("behind", [b"{}", b'{"error": "none"}\r\n', FOREIGN, b"\x00"])
@pytest.mark.parametrize("length", [b"", b"Content-Length: 2\r\n", b"Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize("later", [False, True])
async def test_no_content_is_no_data_whatever_follows(behind: bytes, length: bytes, later: bool, no_rest: None) -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        if request.target.endswith("none"):
            writer.write(b"HTTP/1.1 204 No Content\r\n" + length + b"\r\n")
            if later:
                await writer.drain()
                await asyncio.sleep(0.005)
            writer.write(behind)
        else:
            writer.write(document(own(request)))

    async with serving(respond) as server, sources() as client:
        assert await fetched(client, server, "none") == "NoArchiveData"
        await asyncio.sleep(0.02)
        assert await fetched(client, server, "next") == "next"
        assert server.connections == 2


async def test_informational_answers_before_an_answer_are_read_over_and_the_connection_is_kept(no_rest: None) -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.005)
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" + document(own(request)))

    async with serving(respond) as server, sources() as client:
        for name in ("a", "b"):
            assert await fetched(client, server, name) == name
        assert server.connections == 1


async def test_a_source_that_says_that_it_closes_an_idle_connection_fails_no_reference(no_rest: None) -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(document(own(request)))
        await writer.drain()
        await asyncio.sleep(0.01)
        writer.write(answer(408, {"Connection": "close"}))
        writer.close()

    async with serving(respond) as server, sources() as client:
        for name in ("a", "b", "c"):
            assert await fetched(client, server, name) == name
            await asyncio.sleep(0.03)


async def test_what_a_source_says_before_it_is_asked_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    make = aiohttp.TCPConnector._create_connection

    async def slowly(*arguments: Any) -> Any:
        made = await make(*arguments)
        await asyncio.sleep(0.02)  # so that the request does not leave before it comes
        return made

    monkeypatch.setattr(aiohttp.TCPConnector, "_create_connection", slowly)
    writers: list[asyncio.StreamWriter] = []

    def speak_first(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        writer.write(FOREIGN)

    listening = await asyncio.start_server(speak_first, "127.0.0.1", 0)
    server = RawServer(listening.sockets[0].getsockname()[1])
    async with listening, sources() as client:
        with pytest.raises(TransientFailure, match="sent something before it was asked"):
            async with client.fetching(server.configuration(), Reference("x"), TRACEPARENT):
                pass
    for writer in writers:
        writer.close()


async def test_a_connection_rests_before_it_is_asked_again_and_the_longest_rested_goes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr("app.outgoing.connections.monotonic", lambda: now)
    monkeypatch.setattr("aiohttp.connector.monotonic", lambda: now)
    seen: list[object] = []

    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peername"))
        writer.write(document(own(request)))

    async with serving(respond) as server, sources() as client:
        await fetched(client, server, "a")
        now += 0.9
        await fetched(client, server, "b")
        assert server.connections == 2
        now += 0.1
        await fetched(client, server, "c")
        assert server.connections == 2
        assert seen[2] == seen[0]
        now += 0.9
        await fetched(client, server, "d")
        assert seen[3] == seen[1]
        now += 4.1
        await fetched(client, server, "e")
        assert server.connections == 3


async def test_no_more_than_so_many_connections_of_an_origin_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.outgoing.connections.RESTING", 3)
    gone = 0

    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.01)
        writer.write(document(own(request)))

    async with serving(respond) as server, sources() as client:
        await asyncio.gather(*(fetched(client, server, f"r{number}") for number in range(8)))
        kept = client._session.connector
        assert kept is not None
        gone = sum(map(len, kept._conns.values()))
        assert (server.connections, gone) == (8, 3)


async def test_an_origin_that_spoke_unasked_is_told_once_and_gets_no_connection_twice(
    no_rest: None, caplog: pytest.LogCaptureFixture
) -> None:
    before = metrics.UNASKED_ANSWERS.labels("source")._value.get()

    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(document(own(request)) + (b"x" if request.target.endswith(("2", "3")) else b""))

    with caplog.at_level(logging.WARNING):
        async with serving(respond) as server, serving(respond) as other, sources() as client:
            for at in range(6):
                assert await fetched(client, server, f"r{at}") == f"r{at}"
            assert server.connections == 1 + 3  # 0, 1 and 2 on one, then one each
            for at in (0, 1, 4):
                assert await fetched(client, other, f"r{at}") == f"r{at}"
            assert other.connections == 1
    told = [record.getMessage() for record in caplog.records if "no request had asked for" in record.getMessage()]
    assert len(told) == 1
    assert told[0].startswith(f"source {server.url} sent bytes")
    assert metrics.UNASKED_ANSWERS.labels("source")._value.get() == before + 2


@pytest.mark.parametrize("behind", [b"", b"x", b"\r\n", answer(200, body=b'{"access_token": "other"}')])
async def test_a_token_is_read_to_the_end_that_its_answer_announced(behind: bytes) -> None:
    given = 0

    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal given
        given += 1
        writer.write(answer(200, body=b'{"access_token": "t%d", "expires_in": 0}' % given) + behind)

    async def protected(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(document(request.headers["authorization"].encode()))

    async with serving(respond) as issuer, serving(protected) as server:
        options = OAuthClientOptions("c", f"{issuer.url}/token", "id", "secret")
        async with sources(options) as client:
            for at in range(1, 4):
                configuration = server.configuration(oauth="c")
                async with client.fetching(configuration, Reference("x"), TRACEPARENT) as found:
                    assert found.content == b"Bearer t%d" % at
            assert issuer.connections == 3
