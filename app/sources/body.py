"""Reads the body of an answer: never more of it in memory than allowed, whatever the source sends."""

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import aiohttp

from app.domain.errors import STEP_READ, PermanentFailure, task_message
from app.sources.memory import FIRST_SHARE

PIECE = 64 * 1024
"""Bytes that decompression makes at a time, so that a bomb is noticed before it is large."""


PACKED = ("gzip", "x-gzip", "deflate")
"""The content encodings that are undone."""


async def read_body(
    response: aiohttp.ClientResponse, limit: int, first: bytes, reserve: Callable[[int], Awaitable[None]]
) -> bytes:
    """The decoded body; `first` was read already. `reserve(size)` waits until `size` bytes in memory are allowed.

    Raises `PermanentFailure` above `limit` bytes, with an encoding other than gzip and deflate, or a corrupt one;
    exceptions of aiohttp when the body breaks off.
    """
    refuse_other_framing(response)
    encoding = content_encoding(response)
    length = announced_length(response)
    if not encoding:
        if length is not None:
            if length > limit:
                raise too_large(limit)
            await reserve(length)
            return first + await response.content.read()
        pieces = _chunks(response, first)
    else:
        pieces = _inflated(response, first, encoding)
    return await _gathered(pieces, limit, reserve)


async def unpacks_to_nothing(response: aiohttp.ClientResponse, first: bytes) -> bool:
    """Whether the body is compressed, and empty without it; reads on from `first` as far as the first decoded byte.

    A body that cannot be unpacked is not empty. Exceptions of aiohttp when the body breaks off.
    """
    encoding = content_encoding(response)
    if not encoding:
        return False
    try:
        async for _ in _inflated(response, first, encoding):
            return False
    except PermanentFailure:
        return False
    return True


def content_encoding(response: aiohttp.ClientResponse) -> str:
    """In lower case, empty where the body is as it is; several come as a list, in which `identity` is nothing."""
    names = ",".join(response.headers.getall("Content-Encoding", ())).lower().split(",")
    return ", ".join(name for name in map(str.strip, names) if name not in ("", "identity"))


def refuse_other_framing(response: aiohttp.ClientResponse) -> None:
    """aiohttp undoes `chunked` only, and gives the rest as it came."""
    codings = ",".join(response.headers.getall("Transfer-Encoding", ())).lower().split(",")
    if any(name.strip() not in ("", "chunked") for name in codings):
        raise PermanentFailure(task_message(STEP_READ, "the answer has a Transfer-Encoding other than chunked"))


def announced_length(response: aiohttp.ClientResponse) -> int | None:
    """`Content-Length`, where it holds: in chunked answers it means nothing."""
    if "Transfer-Encoding" in response.headers:
        return None
    return response.content_length


def too_large(limit: int) -> PermanentFailure:
    shown = f"{limit // 1048576} MiB" if limit % 1048576 == 0 else f"{limit} bytes"
    return PermanentFailure(task_message(STEP_READ, f"the document is larger than {shown}"))


async def _chunks(response: aiohttp.ClientResponse, first: bytes) -> AsyncIterator[bytes]:
    """The body as it comes, at most twice the read buffer (64 KiB) at a time."""
    chunk = first or await response.content.readany()
    while chunk:
        yield chunk
        chunk = await response.content.readany()


async def _gathered(pieces: AsyncIterator[bytes], limit: int, reserve: Callable[[int], Awaitable[None]]) -> bytes:
    parts, size, reserved = [], 0, FIRST_SHARE
    async for piece in pieces:
        size += len(piece)
        if size > limit:
            raise too_large(limit)
        if size > reserved:
            reserved = max(size, min(2 * reserved, limit))
            await reserve(reserved)
        parts.append(piece)
    await reserve(size)
    return b"".join(parts)


async def _inflated(response: aiohttp.ClientResponse, first: bytes, encoding: str) -> AsyncIterator[bytes]:
    """Decompresses a body that is compressed although the request asks for `identity`.

    A body that ends with its connection has no other end than its own: without that it broke off.
    """
    if encoding not in PACKED:
        raise PermanentFailure(task_message(STEP_READ, "the document has an unknown content encoding"))
    inflater = None
    try:
        async for chunk in _chunks(response, first):
            inflater = inflater or Inflater(encoding, chunk)
            for piece in inflater.feed(chunk):
                yield piece
    except zlib.error:
        raise corrupt() from None
    if inflater is not None and not inflater.complete:
        if response.content_length is None and "Transfer-Encoding" not in response.headers:
            raise aiohttp.ClientPayloadError("the end of the compressed body is missing")
        raise corrupt()


def corrupt() -> PermanentFailure:
    return PermanentFailure(task_message(STEP_READ, "the content encoding of the document is corrupt"))


class Inflater:
    """Decompresses gzip (of several members too) or deflate (with zlib header, or raw as some servers send it)."""

    def __init__(self, encoding: str, start: bytes) -> None:
        if encoding == "deflate":
            self._window = zlib.MAX_WBITS if start[0] & 0x0F == zlib.DEFLATED else -zlib.MAX_WBITS
        else:
            self._window = 16 + zlib.MAX_WBITS
        self._stream = zlib.decompressobj(self._window)

    @property
    def complete(self) -> bool:
        return self._stream.eof

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Pieces of at most `PIECE` bytes; `zlib.error` where the data is corrupt."""
        more = True
        while data or more:
            if self._stream.eof:
                if not data:
                    return
                if self._window < 16:
                    raise zlib.error("data after the end")
                self._stream = zlib.decompressobj(self._window)
            piece = self._stream.decompress(data, PIECE)
            more = len(piece) == PIECE  # there may be output left without any input
            data = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
            if piece:
                yield piece
