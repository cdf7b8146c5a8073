"""Reads the objects that the leaves of a proof name, each by its version: content, size, lock."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from itertools import islice

from app.domain.leaves import Leaf
from app.objectstore import ObjectStore
from app.objectstore.contents import digest_of

AT_ONCE = 16
"""Objects that are read at the same time."""


async def differences(objects: ObjectStore, leaves: Iterable[Leaf]) -> AsyncIterator[str | None]:
    """For each leaf with an object, in its order: what differs, None where nothing does. Raises Unavailable."""
    rest = (leaf for leaf in leaves if leaf.object is not None)
    while some := list(islice(rest, AT_ONCE)):
        for found in await asyncio.gather(*(_difference(objects, leaf) for leaf in some)):
            yield found


async def _difference(objects: ObjectStore, leaf: Leaf) -> str | None:
    stored = leaf.object
    assert stored is not None  # noqa: S101 - others were left out
    about = f"{leaf.id}{'' if leaf.version is None else f' version {leaf.version}'}: {stored.bucket}/{stored.key}"
    found = await objects.head(stored.bucket, stored.key, stored.version_id)
    if found is None:
        return f"{about}, version {stored.version_id} is missing"
    if stored.retain_until is not None and (found.retain_until is None or found.retain_until < stored.retain_until):
        end = (
            "is not locked" if found.retain_until is None else f"is locked until {found.retain_until.isoformat()} only"
        )
        return f"{about} {end}; the leaf says {stored.retain_until.isoformat()}"
    try:
        digest, size = await digest_of(objects, stored.bucket, stored.key, stored.version_id)
    except FileNotFoundError:
        return f"{about}, version {stored.version_id} is missing"
    if (digest, size) != (stored.sha256, stored.size):
        return f"{about} has other content: {size} bytes with SHA-256 {digest}"
    return None
