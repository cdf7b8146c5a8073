"""The content of an artifact streams as it was archived, or breaks off before its last piece."""

import hashlib
import logging
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from app.domain.archive_types import SchemaName
from app.domain.artifacts import StoredObject
from app.domain.errors import Unavailable
from app.domain.search import FoundArtifact
from app.metadata.content import AlteredContent, Contents, Gone

CONTENT = b"one, two, three"


class Pieces:
    """An object store that gives these pieces; an exception among them is raised."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces = pieces
        self.asked: tuple[str, str, str | None] | None = None
        self.read_pieces = 0
        self.is_closed = False

    async def read(self, bucket: str, key: str, version_id: str | None) -> AsyncIterator[bytes]:
        self.asked = (bucket, key, version_id)
        try:
            for piece in self.pieces:
                if isinstance(piece, Exception):
                    raise piece
                self.read_pieces += 1
                yield piece
        finally:
            self.is_closed = True


def artifact(content: bytes = CONTENT) -> FoundArtifact:
    digest, schema = hashlib.sha256(content).hexdigest(), SchemaName("PSF", "Doc", 1)
    stored = StoredObject("archive", "key", "version", digest, len(content), "text/plain", schema)
    return FoundArtifact(7, "M", None, "doc", None, stored, datetime.now(UTC), None, UUID(int=1), {})


async def streamed(*pieces: bytes | Exception, content: bytes = CONTENT) -> list[bytes]:
    store: Any = Pieces(*pieces)
    opened = await Contents(store).open(artifact(content))
    return [piece async for piece in opened.verified()]


@pytest.mark.parametrize(
    "pieces", [[CONTENT], [b"one, ", b"two, ", b"three"], [bytes([each]) for each in CONTENT]], ids=len
)
async def test_what_was_archived_is_given_as_it_is(pieces: Sequence[bytes]) -> None:
    assert b"".join(await streamed(*pieces)) == CONTENT


async def test_an_empty_object_is_empty() -> None:
    assert await streamed(content=b"") == []


async def test_exactly_the_archived_version_is_read() -> None:
    store: Any = Pieces(CONTENT)
    await Contents(store).open(artifact())
    assert store.asked == ("archive", "key", "version")


@pytest.mark.parametrize(
    "pieces",
    [
        [b"one, ", b"two, ", b"FOUR!"],
        [b"one, ", b"two, "],
        [b"one, ", b"two, ", b"three", b" and more"],
        [b"ONE, ", b"two, ", b"three"],
        [],
    ],
    ids=["another end", "too short", "too long", "another beginning", "empty"],
)
async def test_altered_content_breaks_off_before_its_end(
    pieces: Sequence[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    store: Any = Pieces(*pieces)
    opened = await Contents(store).open(artifact())
    given: list[bytes] = []

    async def read() -> None:
        async for piece in opened.verified():
            given.append(piece)  # noqa: PERF401 - what was given before it broke off

    with pytest.raises(AlteredContent):
        await read()
    assert given == list(pieces[: len(given)])
    assert len(given) < max(1, len(pieces))
    (logged,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "archive/key, version version" in logged.getMessage()


async def test_no_more_is_read_than_was_archived() -> None:
    store: Any = Pieces(CONTENT, *[b"x" * 10] * 100)
    opened = await Contents(store).open(artifact())
    with pytest.raises(AlteredContent):
        [piece async for piece in opened.verified()]
    assert store.read_pieces <= 3
    assert store.is_closed


async def test_an_object_that_is_gone_is_known_before_anything_is_given() -> None:
    store: Any = Pieces(FileNotFoundError("archive/key"))
    with pytest.raises(Gone, match="archive/key"):
        await Contents(store).open(artifact())


async def test_a_store_that_is_away_is_known_before_anything_is_given() -> None:
    store: Any = Pieces(Unavailable("objectstore", "away"))
    with pytest.raises(Unavailable):
        await Contents(store).open(artifact())


async def test_an_outage_in_the_middle_breaks_off() -> None:
    with pytest.raises(Unavailable):
        await streamed(b"one, ", Unavailable("objectstore", "away"))


async def test_when_the_reader_goes_away_so_does_the_connection() -> None:
    store: Any = Pieces(b"one, ", b"two, ", b"three")
    reading = (await Contents(store).open(artifact())).verified()
    assert await anext(reading) == b"one, "
    await reading.aclose()  # type: ignore[attr-defined]
    assert store.is_closed
