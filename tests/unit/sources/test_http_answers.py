"""What an answer of the source, or its absence, means for the task."""

import asyncio
import gzip
import random
import re
import socket
import zlib

import pytest

from app.domain.archive_types import ArchiveTypeConfiguration, SchemaName
from app.domain.artifacts import Document
from app.domain.errors import NoArchiveData, PermanentFailure, TransientFailure
from app.domain.jobs import Reference
from app.sources.http import SourceClient
from tests.unit.sources.server import (
    ARCHIVE,
    TRACEPARENT,
    Answer,
    Request,
    answer,
    chunked,
    document,
    serving,
    sources,
)

READ = "Failed reading artifact from source service: "


async def fetched(reply: "Answer | bytes", **options: float) -> Document:
    async with serving(reply) as server, sources(**options) as client:  # type: ignore[arg-type]
        return await fetch(client, server.configuration())


async def fetch(client: SourceClient, configuration: ArchiveTypeConfiguration) -> Document:
    async with client.fetching(configuration, Reference("1"), TRACEPARENT) as found:
        return found


async def test_headers_and_body_become_a_document() -> None:
    found = await fetched(
        document(
            b'{"a": 1}',
            Archive_Metadata_Customer="  Zoë ",
            ARCHIVE_METADATA_Second="",
            Archive_Storage_Bucket="other",
            Archive_Storage_Prefix="2024/",
        )
    )
    assert found == Document(
        b'{"a": 1}', "application/json", SchemaName("PSF", "OsvRecord", 1), (("customer", "Zoë"),), "other", "2024/"
    )


async def test_a_chunked_answer_is_read() -> None:
    assert (await fetched(chunked(b"[1,", b"2]"))).content == b"[1,2]"


async def test_an_answer_without_length_ends_with_the_connection() -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(document(b"[1]").replace(b"Content-Length: 3\r\n", b""))
        writer.close()

    assert (await fetched(respond)).content == b"[1]"


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 204 No Content\r\n\r\n",
        answer(200, {}, b""),
        answer(200, ARCHIVE, b""),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        answer(200, {"Content-Encoding": "br"}, b""),
        answer(200, ARCHIVE | {"Content-Encoding": "gzip"}, gzip.compress(b"", mtime=0)),
    ],
)
async def test_204_and_an_empty_200_are_no_archive_data(reply: bytes) -> None:
    with pytest.raises(NoArchiveData):
        await fetched(reply)


RAW_DEFLATE_OF_NOTHING = b"\x03\x00"


def packed(encoding: str, body: bytes, **headers: str) -> bytes:
    return answer(200, {"Content-Encoding": encoding, **headers}, body)


def without_length(reply: bytes) -> bytes:
    """It ends with its connection."""
    return re.sub(rb"Content-Length: \d+", b"Connection: close", reply)


def packed_in_chunks(encoding: str, *chunks: bytes) -> bytes:
    """Without the headers of an archive."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    head = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: {encoding}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    "reply",
    [
        packed("gzip", gzip.compress(b"", mtime=0)),
        packed("GZIP, identity", gzip.compress(b"", mtime=0)),
        packed("gzip", gzip.compress(b"", mtime=0) * 3),
        packed("deflate", zlib.compress(b"")),
        packed("deflate", RAW_DEFLATE_OF_NOTHING),
        packed("gzip", gzip.compress(b"", mtime=0), **ARCHIVE | {"Archive-Data-Schema-Version": "0"}),
        packed_in_chunks("gzip", gzip.compress(b"", mtime=0)),
        packed_in_chunks("gzip", *(bytes([byte]) for byte in gzip.compress(b"", mtime=0))),
        packed_in_chunks("deflate", zlib.compress(b"")),
    ],
)
async def test_an_empty_200_is_no_archive_data_when_it_is_compressed_whatever_its_headers(reply: bytes) -> None:
    with pytest.raises(NoArchiveData):
        await fetched(reply)


@pytest.mark.parametrize(
    "reply",
    [
        packed("gzip", gzip.compress(b"{}", mtime=0)),
        packed("deflate", zlib.compress(b"{}")),
        packed("gzip", gzip.compress(b"", mtime=0) + gzip.compress(b"{}", mtime=0)),
        packed("gzip", b"not gzip"),
        packed("gzip", gzip.compress(b"", mtime=0)[:-1]),
        packed("br", b"\x3b"),
        packed("gzip", gzip.compress(b"", mtime=0)).replace(b" 200 ", b" 201 "),
        packed_in_chunks("gzip", gzip.compress(b"{}", mtime=0)),
        answer(200, {}, gzip.compress(b"", mtime=0)),
    ],
)
async def test_a_missing_header_is_named_where_something_is_in_the_body(reply: bytes) -> None:
    with pytest.raises(PermanentFailure) as failure:
        await fetched(reply)
    assert failure.value.message == f"{READ}header Archive-Data-System is missing"


async def test_a_missing_header_is_named_with_the_first_byte_of_a_compressed_body() -> None:
    async def first_byte(request: Request, writer: asyncio.StreamWriter) -> None:
        body = gzip.compress(random.Random(1).randbytes(500_000))
        writer.write(packed("gzip", body)[:70_000])
        await writer.drain()
        await asyncio.sleep(0.6)

    with pytest.raises(PermanentFailure) as failure:
        await fetched(first_byte, timeout=0.3)
    assert failure.value.message == f"{READ}header Archive-Data-System is missing"


async def test_a_compressed_body_that_breaks_off_before_its_first_byte_may_be_tried_again() -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(packed("gzip", gzip.compress(b"", mtime=0))[:-15])
        writer.close()

    with pytest.raises(TransientFailure) as failure:
        await fetched(respond)
    assert failure.value.cause == "the response body broke off"


@pytest.mark.parametrize("status", [301, 302, 304, 400, 401, 403, 404, 410, 422, 600])
async def test_other_statuses_fail_at_once(status: int) -> None:
    with pytest.raises(PermanentFailure) as failure:
        await fetched(answer(status, body=b""))
    assert failure.value.message == f"{READ}HTTP {status}"


@pytest.mark.parametrize(
    ("status", "unreachable", "throttled"),
    [
        (408, False, False),
        (425, False, False),
        (429, False, True),
        (500, True, False),
        (502, True, False),
        (503, False, True),
        (504, True, False),
    ],
)
async def test_transient_statuses_say_what_they_mean_for_pacing(
    status: int, unreachable: bool, throttled: bool
) -> None:
    with pytest.raises(TransientFailure) as failure:
        await fetched(answer(status, {"Retry-After": "7"}))
    found = failure.value
    assert (found.cause, found.unreachable, found.throttled) == (f"HTTP {status}", unreachable, throttled)
    assert found.retry_after == 7


async def test_nobody_listening_is_transient() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{bound.getsockname()[1]}/{{id}}"
        async with sources() as client:
            with pytest.raises(TransientFailure) as failure:
                await fetch(client, ArchiveTypeConfiguration("M", "t", uri=uri))
    assert (failure.value.cause, failure.value.unreachable, failure.value.no_connection) == (
        "connection refused",
        True,
        True,
    )


@pytest.mark.parametrize(
    ("status", "headers", "keeps_attempt"),
    [
        (429, {}, True),
        (429, {"Retry-After": "7"}, True),
        (503, {"Retry-After": "7"}, True),
        (503, {"Retry-After": "0"}, True),
        (503, {}, False),
        (503, {"Retry-After": "soon"}, False),
        (500, {"Retry-After": "7"}, False),
        (408, {"Retry-After": "7"}, False),
    ],
)
async def test_who_asks_to_wait_says_nothing_of_the_record(
    status: int, headers: dict[str, str], keeps_attempt: bool
) -> None:
    with pytest.raises(TransientFailure) as failure:
        await fetched(answer(status, headers))
    assert (failure.value.keeps_attempt, failure.value.no_connection) == (keeps_attempt, False)


@pytest.mark.parametrize("uri", ["http://no-such-host.invalid/{id}", "https://127.0.0.1:1/{id}"])
async def test_who_has_no_connection_says_nothing_of_the_record(uri: str) -> None:
    async with sources() as client:
        with pytest.raises(TransientFailure) as failure:
            await fetch(client, ArchiveTypeConfiguration("M", "t", uri=uri))
    assert failure.value.no_connection


async def test_a_source_is_away_from_the_first_failure_until_it_answers_anything() -> None:
    async with serving(answer(404)) as server, sources() as client:
        gone = server.configuration()
        with pytest.raises(PermanentFailure):
            await fetch(client, gone)
        assert client.absence(gone) is None
    async with sources() as client:
        for _ in range(2):
            with pytest.raises(TransientFailure):
                await fetch(client, gone)
        absence = client.absence(gone)
        assert absence is not None
        assert absence.cause == "connection refused"
        async with serving(answer(500), port=server.port):
            with pytest.raises(TransientFailure):
                await fetch(client, gone)
        assert client.absence(gone) is None


async def test_a_port_that_speaks_no_tls_is_transient() -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server, sources() as client:
        uri = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/{{id}}"
        with pytest.raises(TransientFailure, match="the TLS handshake failed") as failure:
            await fetch(client, ArchiveTypeConfiguration("M", "t", uri=uri))
        assert failure.value.no_connection


async def silence(request: Request, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(0.6)


async def test_a_source_that_does_not_answer_times_out() -> None:
    with pytest.raises(TransientFailure) as failure:
        await fetched(silence, timeout=0.1)
    assert (failure.value.cause, failure.value.unreachable) == ("read timed out after 100ms", True)


async def test_a_body_that_stalls_times_out() -> None:
    async def stall(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(200, ARCHIVE, b"[1,", length=100))
        await writer.drain()
        await asyncio.sleep(0.6)

    with pytest.raises(TransientFailure) as failure:
        await fetched(stall, timeout=0.1)
    assert (failure.value.cause, failure.value.unreachable) == ("read timed out after 100ms", True)


async def test_a_body_that_trickles_ends_with_the_total_timeout() -> None:
    async def trickle(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(200, ARCHIVE, b"", length=1000))
        for _ in range(30):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    with pytest.raises(TransientFailure) as failure:
        await fetched(trickle, timeout=0.1, total_timeout=0.2)
    assert (failure.value.cause, failure.value.unreachable) == ("fetch took longer than 200ms", True)


@pytest.mark.parametrize(
    "half",
    [
        answer(200, ARCHIVE, b"[1,", length=100),
        chunked(b"[1,")[:-5],
        chunked(b"[1,", b"2]")[:-9],
        without_length(document(gzip.compress(b"[1,2]", mtime=0)[:-4], Content_Encoding="gzip")),
    ],
)
async def test_a_body_that_breaks_off_is_transient(half: bytes) -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(half)
        writer.close()

    with pytest.raises(TransientFailure) as failure:
        await fetched(respond)
    assert (failure.value.cause, failure.value.unreachable) == ("the response body broke off", True)


@pytest.mark.parametrize("half", [b"", b"HTTP/1.1 200 OK\r\nContent-Ty"])
async def test_a_connection_that_drops_before_the_answer_is_transient(half: bytes) -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(half)
        writer.close()

    with pytest.raises(TransientFailure) as failure:
        await fetched(respond)
    assert (failure.value.cause, failure.value.unreachable) == ("connection closed without an answer", True)
    assert not failure.value.keeps_attempt


async def test_no_failure_tells_the_address_of_the_source() -> None:
    for reply in (answer(404), answer(503), b"nonsense\r\n\r\n", chunked(b"[1,")[:-5], silence):
        async with serving(reply) as server, sources(timeout=0.05) as client:
            with pytest.raises((PermanentFailure, TransientFailure)) as failure:
                await fetch(client, server.configuration())
            assert str(server.port) not in str(failure.value)
            assert "127.0.0.1" not in str(failure.value)


async def test_a_document_of_exactly_the_limit_is_read() -> None:
    body = b"x" * 100_000
    assert (await fetched(document(body), max_response_size=100_000)).content == body
    assert (await fetched(chunked(body), max_response_size=100_000)).content == body


async def test_a_larger_document_is_refused_by_its_length_alone() -> None:
    with pytest.raises(PermanentFailure) as failure:
        await fetched(answer(200, ARCHIVE, b"", length=2 * 1024 * 1024))
    assert failure.value.message == f"{READ}the document is larger than 1 MiB"


async def test_an_endless_document_is_stopped_while_it_streams() -> None:
    sent = 0

    async def endless(request: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(chunked()[:-5])
        while not writer.is_closing():
            writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            await writer.drain()
            sent += 0x10000

    with pytest.raises(PermanentFailure, match="larger than 1 MiB"):
        await fetched(endless)
    assert sent < 16 * 1024 * 1024


def compressed(kind: str, content: bytes) -> bytes:
    if kind == "raw deflate":
        deflater = zlib.compressobj(wbits=-15)
        return deflater.compress(content) + deflater.flush()
    return zlib.compress(content) if kind == "deflate" else gzip.compress(content, mtime=0)


@pytest.mark.parametrize("kind", ["gzip", "deflate", "raw deflate"])
async def test_compression_that_was_not_asked_for_is_undone(kind: str) -> None:
    content = b"0123456789" * 30_000
    encoding = kind.removeprefix("raw ")
    body = compressed(kind, content)
    assert (await fetched(document(body, Content_Encoding=encoding))).content == content
    pieces = [body[i : i + 7] for i in range(0, len(body), 7)]
    assert (await fetched(chunked(*pieces, **{"Content-Encoding": encoding}))).content == content


async def test_gzip_of_several_members_is_one_document() -> None:
    body = gzip.compress(b"[1,", mtime=0) + gzip.compress(b"2]", mtime=0)
    assert (await fetched(document(body, Content_Encoding="gzip"))).content == b"[1,2]"


async def test_a_bomb_is_stopped_at_the_limit() -> None:
    deflater = zlib.compressobj(9, wbits=-15)
    mebibyte = deflater.compress(bytes(1024 * 1024)) + deflater.flush(zlib.Z_FULL_FLUSH)  # may stand there repeatedly
    bomb = gzip.compress(b"", mtime=0)[:10] + mebibyte * 200
    assert len(bomb) < 1024 * 1024
    with pytest.raises(PermanentFailure, match="larger than 1 MiB"):
        await fetched(document(bomb, Content_Encoding="gzip"))


@pytest.mark.parametrize(
    ("encoding", "body", "message"),
    [
        ("gzip", gzip.compress(b"[1]", mtime=0)[:-4], "corrupt"),
        ("gzip", b"no gzip", "corrupt"),
        ("gzip", gzip.compress(b"[1]", mtime=0) + b"garbage", "corrupt"),
        ("deflate", zlib.compress(b"[1]") + b"x", "corrupt"),
        ("br", b"x", "unknown content encoding"),
        ("gzip, gzip", b"x", "unknown content encoding"),
    ],
)
async def test_other_encodings_fail_at_once(encoding: str, body: bytes, message: str) -> None:
    with pytest.raises(PermanentFailure, match=message):
        await fetched(document(body, Content_Encoding=encoding))


async def test_identity_is_no_encoding() -> None:
    assert (await fetched(document(b"[1]", Content_Encoding="identity"))).content == b"[1]"


async def test_a_wrong_header_fails_before_the_body_is_read() -> None:
    reply = answer(200, ARCHIVE | {"Archive-Data-Schema-Version": "v1"}, b"x", length=500_000)
    with pytest.raises(PermanentFailure) as failure:
        await fetched(reply)
    assert failure.value.message == f"{READ}header Archive-Data-Schema-Version is not an integer from 1: v1"


async def test_a_cancelled_fetch_leaves_nothing_behind() -> None:
    async with serving(silence) as server, sources() as client:
        task = asyncio.create_task(fetch(client, server.configuration()))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert client.pacers.of(server.url).in_flight == 0
        assert client._budget.used == 0
