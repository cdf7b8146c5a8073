"""Leaves are read line by line in flat memory, and what is damaged is named."""

import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import pytest

from app.evidence.leaf_file import LeafFile
from app.evidence.reading import LONGEST_LINE, NoLeaves, lines_of


async def pieces(content: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]


async def lines(content: bytes, size: int = 1000) -> list[bytes]:
    return [line async for page in lines_of(pieces(content, size)) for line in page]


@pytest.mark.parametrize(("size", "count"), [(1, 300), (7, 300), (1000, 5_000), (10**9, 5_000)])
async def test_lines_are_those_that_were_written_whatever_the_pieces(size: int, count: int) -> None:
    wanted = [b"line %d" % number * (number % 50) for number in range(count)]
    with LeafFile() as file:
        for at in range(0, len(wanted), 999):
            file.add(wanted[at : at + 999])
        content, _ = file.finished()
    assert isinstance(content, bytes)
    assert gzip.decompress(content) == b"".join(each + b"\n" for each in wanted)
    assert await lines(content if size > 1 else content[:], size) == wanted


async def test_what_expands_a_thousand_times_stays_flat() -> None:
    content = gzip.compress(b"x" * 1000 + b"\n" + (b"y" * 1000 + b"\n") * 60_000)
    tracemalloc.start()
    try:
        count = 0
        async for page in lines_of(pieces(content, 64 * 1024)):
            count += len(page)
        assert count == 60_001
        assert tracemalloc.get_traced_memory()[1] < 8 * 1024**2
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"no gzip", id="no gzip"),
        pytest.param(gzip.compress(b"a\nb\n")[:-1], id="cut off"),
        pytest.param(gzip.compress(b"a\nb\n") + b"x", id="something behind it"),
        pytest.param(gzip.compress(b"a\nb"), id="a line cut off"),
        pytest.param(zlib.compress(b"a\n"), id="zlib"),
        pytest.param(gzip.compress(b"x" * (LONGEST_LINE * 20)), id="a long line"),
    ],
)
async def test_what_holds_no_leaves_is_named(content: bytes) -> None:
    with pytest.raises(NoLeaves):
        await lines(content)


async def test_each_byte_changed_in_the_gzip_is_found_or_leaves_the_lines_as_they_are() -> None:
    with LeafFile() as file:
        file.add([b'{"id":"%d"}' % number for number in range(20)])
        content, _ = file.finished()
    assert isinstance(content, bytes)
    right = await lines(content)
    for place in range(len(content)):
        wrong = bytearray(content)
        wrong[place] ^= 0x55
        try:
            assert await lines(bytes(wrong)) == right
            assert place < 10  # only what gzip says of itself: time, system
        except NoLeaves:
            pass
