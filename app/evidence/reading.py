"""Reads objects of evidence: a small one as a whole, leaves line by line, in flat memory."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Sequence

from app.domain.merkle import Frontier, leaf_hash
from app.objectstore import ObjectStore, ObjectVersion

LONGEST_LINE = 64 * 1024
"""Bytes; a leaf has an id of up to 512 characters, a message of 1,000, a key of 1,024 bytes."""


AT_ONCE = 512 * 1024
"""Bytes of leaves that are unpacked in one go."""


class NoLeaves(ValueError):
    """The object holds no leaves: it is no gzip, or has lines that are too long."""


async def gathered(objects: ObjectStore, version: ObjectVersion, most: int) -> bytes:
    """The content; empty where it has more bytes than `most`, or is gone."""
    content = b""
    if version.size > most:
        return content
    try:
        async for piece in objects.read(version.bucket, version.key, version.version_id):
            content += piece
    except FileNotFoundError:
        return b""
    return content


async def lines_of(pieces: AsyncIterator[bytes]) -> AsyncIterator[Sequence[bytes]]:
    """The lines of gzip, many at a time, without their line breaks. Raises NoLeaves."""
    unpacking, rest = zlib.decompressobj(31), b""
    async for piece in pieces:
        todo, full = piece, True
        while full or todo:
            try:
                text = await asyncio.to_thread(unpacking.decompress, todo, AT_ONCE)
            except zlib.error as error:
                raise NoLeaves(str(error)) from error
            todo, full = unpacking.unconsumed_tail, len(text) == AT_ONCE
            *lines, rest = (rest + text).split(b"\n")
            if len(rest) > LONGEST_LINE:
                raise NoLeaves("a line is too long")
            if lines:
                yield lines
    if not unpacking.eof or unpacking.unused_data or rest:
        raise NoLeaves("it is cut off, or something follows it")


async def root_of_leaves(objects: ObjectStore, version: ObjectVersion) -> tuple[int, bytes] | None:
    """Size and root of the tree over the leaves in an object; None where it holds none, or is gone."""
    frontier = Frontier()
    try:
        async for lines in lines_of(objects.read(version.bucket, version.key, version.version_id)):
            frontier = await asyncio.to_thread(_grown, frontier, lines)
    except (NoLeaves, FileNotFoundError):
        return None
    return frontier.size, frontier.root()


def _grown(frontier: Frontier, lines: Sequence[bytes]) -> Frontier:
    for line in lines:
        frontier = frontier.grown(leaf_hash(line))
    return frontier
