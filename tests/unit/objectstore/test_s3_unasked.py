"""A store, or a proxy before it, that answers what nobody asked: no put, read or look takes that for its own."""

import asyncio
import hashlib
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto

import pytest

from app.domain.errors import Unavailable
from app.objectstore import ObjectStoreError
from app.objectstore.s3 import S3ObjectStore, S3Options, open_s3
from app.objectstore.s3_put import proves
from tests.unit.objectstore.tried import as_tried
from tests.unit.objectstore.uploads import upload_to
from tests.unit.sources.server import RawServer, Request, answer, serving

CONTENT = b"content"
SHA256 = b64encode(hashlib.sha256(CONTENT).digest()).decode()
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


def told_of(path: str, content: bytes) -> dict[str, str]:
    """Headers of a version; its id says which object it is of."""
    return {
        "ETag": f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"',
        "x-amz-version-id": f"v-{path.rpartition('/')[2]}",
        "x-amz-checksum-sha256": b64encode(hashlib.sha256(content).digest()).decode(),
        "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT",
    }


class Second(Enum):
    """When the second answer to a request comes; UNDER_WAY is while the next one is, which nobody can see coming."""

    WITH_THE_FIRST = auto()
    RIGHT_AFTER = auto()
    AT_REST = auto()
    UNDER_WAY = auto()


class Twice:
    """A store that answers each request a second time; objects contain their own path."""

    def __init__(self, second: Second) -> None:
        self.second = second
        self._last: tuple[asyncio.StreamWriter, bytes] | None = None

    async def respond(self, request: Request, writer: asyncio.StreamWriter) -> None:
        path = request.target.partition("?")[0]
        content = request.body if request.method == "PUT" else path.encode()
        body = content if request.method == "GET" else b""
        reply = answer(200, told_of(path, content), body, length=len(content) if request.method == "HEAD" else None)
        last, self._last = self._last, (writer, reply)
        match self.second:
            case Second.WITH_THE_FIRST:
                writer.write(reply + reply)
            case Second.RIGHT_AFTER:
                writer.write(reply)
                asyncio.get_running_loop().call_soon(writer.write, reply)
            case Second.AT_REST:
                writer.write(reply)
            case Second.UNDER_WAY:
                writer.write(reply if last is None else last[1])

    async def rest(self) -> None:
        """Between two requests: what is to come now has come, and was seen, when this returns."""
        assert self._last is not None
        writer, reply = self._last
        if self.second is Second.AT_REST:
            writer.write(reply)
        with suppress(ConnectionError):
            async with asyncio.timeout(10):
                await writer.wait_closed()


@asynccontextmanager
async def twice(second: Second) -> AsyncIterator[tuple[RawServer, S3ObjectStore, Twice]]:
    answers = Twice(second)
    async with serving(answers.respond) as server:
        options = S3Options(access_url=server.url, access_key="AK", secret_key="SECRET-KEY")
        async with open_s3(options) as store:
            yield server, as_tried(store, "b"), answers


@pytest.mark.parametrize(
    ("second", "rests"),
    [
        (Second.WITH_THE_FIRST, True),
        (Second.WITH_THE_FIRST, False),
        (Second.RIGHT_AFTER, True),
        (Second.RIGHT_AFTER, False),
        (Second.AT_REST, True),
    ],
    ids=str,
)
async def test_each_put_read_and_look_gets_its_own_answer(second: Second, rests: bool) -> None:
    async with twice(second) as (_, store, answers):
        for at in range(12):
            key = f"object-{at}"
            assert (await store.put(upload_to("b", key=key, content=key.encode()))).version_id == f"v-{key}"
            if rests:
                await answers.rest()
            found = await store.head("b", key)
            assert found is not None
            assert found.version_id == f"v-{key}"
            if rests:
                await answers.rest()
            assert b"".join([piece async for piece in store.read("b", key, None)]) == f"/b/{key}".encode()
            if rests:
                await answers.rest()


async def test_a_foreign_answer_that_came_unseen_is_no_version_of_this_put() -> None:
    async with twice(Second.UNDER_WAY) as (server, store, _):
        assert (await store.put(upload_to("b", key="first", content=b"first"))).version_id == "v-first"
        with pytest.raises(Unavailable, match="names neither the checksum nor the MD5"):
            await store.put(upload_to("b", key="second", content=b"second"))
        with pytest.raises(Unavailable):
            await store.put(upload_to("b", key="third", content=b"third"))
        assert server.connections == 2  # the one that was out of step is not used again


async def test_a_version_that_was_not_asked_for_is_not_believed() -> None:
    async with twice(Second.UNDER_WAY) as (_, store, _):
        assert await store.head("b", "key", "v-key")
        with pytest.raises(Unavailable, match="told of another"):
            await store.head("b", "other", "v-other")


@pytest.mark.parametrize(
    ("headers", "proven"),
    [
        ({"x-amz-checksum-sha256": SHA256}, True),
        ({"x-amz-checksum-sha256": SHA256, "etag": '"other"'}, True),
        ({"x-amz-checksum-sha256": "AAAA", "etag": f'"{MD5}"'}, False),
        ({"etag": f'"{MD5}"'}, True),
        ({"etag": MD5.upper()}, True),
        ({"etag": f'W/"{MD5}"'}, True),
        ({"etag": '"' + "0" * 32 + '"'}, False),
        ({"etag": f'"{MD5}-1"'}, False),
        ({}, False),
        ({"etag": '"x"', "x-amz-server-side-encryption": "aws:kms"}, True),
        ({"etag": '"x"', "x-amz-server-side-encryption": "aws:kms:dsse"}, True),
        ({"etag": '"x"', "x-amz-server-side-encryption": "AES256"}, False),
        ({"etag": '"x"', "x-amz-server-side-encryption-customer-algorithm": "AES256"}, True),
        ({"x-amz-checksum-sha256": "AAAA", "x-amz-server-side-encryption": "aws:kms"}, False),
    ],
)
def test_what_proves_that_an_answer_is_of_this_put(headers: dict[str, str], proven: bool) -> None:
    assert proves(headers, {"x-amz-checksum-sha256": SHA256}, CONTENT) is proven


def test_an_unproven_put_is_no_failure_of_the_object() -> None:
    assert not issubclass(Unavailable, ObjectStoreError)
