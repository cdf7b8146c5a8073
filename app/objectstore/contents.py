"""What a stored version holds: shown by its ETag, or read back."""

import contextlib
import hashlib

from app.objectstore import ObjectStore, ObjectVersion


def is_shown_to_hold(version: ObjectVersion, content: bytes) -> bool:
    """Whether the ETag, which the store makes itself, is the hash of this content; user metadata can say anything.

    An ETag that is no hash (of parts, or encrypted with keys of the store's owner) shows nothing.
    """
    etag = version.etag.removeprefix("W/").strip('"').lower()
    hashes = (hashlib.md5(content, usedforsecurity=False), hashlib.sha256(content))  # of S3, and of the file system
    return version.size == len(content) and etag in {made.hexdigest() for made in hashes}


async def digest_of(objects: ObjectStore, bucket: str, key: str, version_id: str) -> tuple[str, int]:
    """SHA-256 (hex) and bytes of a version, read in flat memory. Raises FileNotFoundError where it is gone."""
    digest, size = hashlib.sha256(), 0
    async with contextlib.aclosing(objects.read(bucket, key, version_id)) as pieces:  # type: ignore[type-var]
        async for piece in pieces:
            digest.update(piece)
            size += len(piece)
    return digest.hexdigest(), size
