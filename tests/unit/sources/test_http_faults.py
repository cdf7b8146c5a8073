"""Answers that HTTP does not allow, each with its own text; and those that are only unusual."""

import asyncio

import pytest

from app.domain.errors import PermanentFailure
from tests.unit.sources.server import ARCHIVE, Request, answer, chunked
from tests.unit.sources.test_http_answers import READ, fetched

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n"
NEEDED = "".join(f"{name}: {value}\r\n" for name, value in ARCHIVE.items()).encode()


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "the answer is not HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x50", "the answer is not HTTP"),
        (b"<html>no HTTP</html>\r\n\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 abc OK\r\n\r\n", "the status line of the answer is not valid"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "the status line of the answer is not valid"),
        (b"HTTP/4.1 200 OK\r\n\r\n", "the status line of the answer is not valid"),
        (HEAD + b"X y: z\r\n\r\n", "the answer has a header that is not valid"),
        (HEAD + b": z\r\n\r\n", "the answer has a header that is not valid"),
        (HEAD + b"X: a\x00b\r\n\r\n", "the answer has a header that is not valid"),
        (HEAD + b"Content-Length: abc\r\n\r\n", "the Content-Length of the answer is not a number"),
        (HEAD + b"Content-Length: -1\r\n\r\n", "the Content-Length of the answer is not a number"),
        (HEAD + b"Content-Length: 9" + b"9" * 30 + b"\r\n\r\n", "the Content-Length of the answer is not a number"),
        (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n", "the answer has more than one Content-Length"),
        (
            CHUNKED + b"Content-Length: 3\r\n\r\n",
            "the answer has both Content-Length and Transfer-Encoding",
        ),
        (
            HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "the answer has both Content-Length and Transfer-Encoding",
        ),
        (
            HEAD + NEEDED + b"Transfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            "the answer has a Transfer-Encoding other than chunked",
        ),
        (CHUNKED + NEEDED + b"\r\n1\r\n1\r\nzz\r\n\r\n", "the answer has a chunk that is not valid"),
        (CHUNKED + NEEDED + b"\r\n" + b"f" * 30 + b"\r\n", "the answer has a chunk that is not valid"),
        (CHUNKED + NEEDED + b"\r\n1\r\n123\r\n", "the answer has a chunk that is not valid"),
        (HEAD + b"X: " + b"x" * 65536 + b"\r\n\r\n", "the headers of the answer are larger than 64 KiB"),
        (HEAD + b"X: y\r\n" * 12000 + b"\r\n", "the headers of the answer are larger than 64 KiB"),
        (b"HTTP/1.1 103 Early\r\nX: y\r\n\r\n" * 3000, "the headers of the answer are larger than 64 KiB"),
        (b"HTTP/1.1 200 " + b"O" * 70000 + b"\r\n\r\n", "the headers of the answer are larger than 64 KiB"),
        (
            CHUNKED + NEEDED + b"\r\n1\r\n1\r\n0\r\n" + b"X: y\r\n" * 50000,
            "the answer has more than 64 KiB between its chunks or behind them",
        ),
    ],
)
@pytest.mark.parametrize("pieces", [1, 5])
async def test_each_fault_of_an_answer_is_said(reply: bytes, cause: str, pieces: int) -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        size = -(-len(reply) // pieces)
        for at in range(0, len(reply), size):
            writer.write(reply[at : at + size])
            await writer.drain()
            await asyncio.sleep(0.005)

    with pytest.raises(PermanentFailure) as failure:
        await fetched(respond)
    assert failure.value.message == READ + cause


@pytest.mark.parametrize(
    "more",
    [
        {"X-Large": "x" * 10240},
        {"X-Large": "x" * 64000},
        {f"X-{number}": "y" for number in range(154)},
        {f"X-{number}": "y" * 100 for number in range(550)},
    ],
)
async def test_headers_of_up_to_64_kib_in_all_are_read(more: dict[str, str]) -> None:
    assert (await fetched(answer(200, {**more, **ARCHIVE}, b"[1]"))).content == b"[1]"


async def test_a_chunk_that_comes_later_and_is_none_ends_the_fetch_at_once() -> None:
    async def respond(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(chunked(b"[1]")[:-5])
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(b"zz\r\n\r\n")

    with pytest.raises(PermanentFailure, match="a chunk that is not valid"):
        await fetched(respond)


async def test_extensions_and_trailers_of_chunks_are_read_over() -> None:
    body = b"1;a=b\r\n[\r\n2\r\n1]\r\n0\r\nX: y\r\n\r\n"
    assert (await fetched(CHUNKED + NEEDED + b"\r\n" + body)).content == b"[1]"


@pytest.mark.parametrize("status", ["206 Partial Content"])
async def test_a_part_is_no_document(status: str) -> None:
    headers = {**ARCHIVE, "Content-Range": "bytes 0-2/10"}
    with pytest.raises(PermanentFailure) as failure:
        await fetched(answer(status, headers, b"[1]"))
    assert failure.value.message == READ + "HTTP 206: a part of the document, which was not asked for"
