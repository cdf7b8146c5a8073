"""Puts an object of evidence under its key once, however many processes try it: the condition decides."""

import asyncio
import hashlib
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from app.domain.errors import Unavailable
from app.domain.readiness import OBJECT_STORE
from app.objectstore import FileContent, ObjectStore, ObjectVersion, PreconditionFailed, Upload

TRIES = 10
"""Conditional puts of one key that others win in a row before the store counts as unavailable."""

SOON = timedelta(minutes=5)
"""A lock that would end within this time is not asked for: stores refuse locks of the past."""

log = logging.getLogger(__name__)

Same = Callable[[ObjectVersion], Awaitable[bool]]


async def place(objects: ObjectStore, upload: Upload, is_same: Same) -> ObjectVersion:
    """The version that was put, or one that says the same (`is_same`), locked for as long.

    What says something else stays where it is, and a new version is put over it: nobody prevents a proof by being
    there first. Raises ObjectRejected, Unavailable, OSError.
    """
    upload = _lockable(upload)
    for tries in range(TRIES):
        try:
            return await objects.put(upload)
        except PreconditionFailed:
            current = await objects.head(upload.bucket, upload.key)
        for version in await objects.versions(upload.bucket, upload.key):
            if await is_same(version) and await _locked(objects, version, upload.retain_until):
                return version
        if current is not None:
            log.warning("%s/%s holds something else; another version is put over it", upload.bucket, upload.key)
        upload = replace(upload, if_match=None if current is None else current.etag)
        await asyncio.sleep(random.uniform(0, 0.05) * tries)
    raise Unavailable(OBJECT_STORE, f"{TRIES} conditional puts of {upload.key} in a row were refused")


def small_upload(bucket: str, key: str, content: bytes, until: datetime | None) -> Upload:
    """As `upload_of`, of what is hashed at once."""
    return upload_of(bucket, key, content, hashlib.sha256(content).hexdigest(), until)


def upload_of(bucket: str, key: str, content: bytes | FileContent, sha256: str, until: datetime | None) -> Upload:
    """An object of evidence. Its lock ends at `until`; None: it is not locked."""
    kind = "application/gzip" if key.endswith(".gz") else "text/plain; charset=utf-8"
    if key.endswith(".tsr"):
        kind = "application/timestamp-reply"
    return Upload(bucket, key, content, kind, sha256, {"hash": sha256}, None, None, retain_until=until)


def _lockable(upload: Upload) -> Upload:
    over = upload.retain_until is not None and upload.retain_until <= datetime.now(UTC) + SOON
    return replace(upload, retain_until=None) if over else upload


async def _locked(objects: ObjectStore, version: ObjectVersion, until: datetime | None) -> bool:
    """Whether the version is locked until then at least, lengthened if need be; False where it is gone."""
    if until is None or (version.retain_until is not None and version.retain_until >= until):
        return True
    try:
        await objects.lengthen_lock(version.bucket, version.key, version.version_id, until)
    except PreconditionFailed:
        return False
    return True
