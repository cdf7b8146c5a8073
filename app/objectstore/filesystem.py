"""The object store of the embedded service, on a file system; for one process at a time.

`root/<bucket>/<key>/<version id>` holds the content, `<version id>.json` beside it everything else. Conditions hold as
in S3. Retention is noted and kept to by this service, and the files are read-only; a file system cannot enforce more.
"""

import asyncio
import errno
import hashlib
import json
import os
import re
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from app.domain.archive_types import ArchiveDataType
from app.domain.errors import Unavailable
from app.domain.readiness import OBJECT_STORE
from app.objectstore import (
    FileContent,
    ListedVersion,
    ObjectRejected,
    ObjectVersion,
    PreconditionFailed,
    Upload,
    Which,
    every,
)
from app.objectstore import filesystem_layout as layout
from app.objectstore.lifecycle import missing_rules
from app.objectstore.limits import check_upload

T = TypeVar("T")

CHUNK = 256 * 1024
"""Bytes of one piece of `read`."""

THREADS = 8
"""At work on files at once; they wait for the disk, not for the processor."""

LOCKS = 256
"""Keys share this many locks, so that they need not be counted and removed."""

PAGE = 1000
"""Versions in one page of `list_versions`, as S3 has it."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class FilesystemObjectStore:
    """Implements `ObjectStore`.

    Blocking work runs in threads, which go on to their end when the caller is cancelled. A lock of the caller would be
    free before the thread is done, so each thread takes its own locks.
    """

    def __init__(self, root: Path, object_lock_enabled: bool = True, lifecycle_enabled: bool = True) -> None:
        self._root = root
        self._object_lock_enabled = object_lock_enabled
        self._lifecycle_enabled = lifecycle_enabled
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="objectstore")
        self._locks = [threading.Lock() for _ in range(LOCKS)]

    @property
    def lock_mode(self) -> None:
        return None

    async def put(self, upload: Upload) -> ObjectVersion:
        check_upload(upload)
        return await self._run(lambda: self._put(upload))

    async def head(self, bucket: str, key: str, version_id: str | None = None) -> ObjectVersion | None:
        description = await self._run(lambda: self._description_of(bucket, key, version_id))
        return None if description is None else layout.object_version(description)

    async def versions(self, bucket: str, key: str, which: Which = every) -> Sequence[ObjectVersion]:
        found = await self._run(lambda: layout.read_versions(self._directory(bucket, key), key))
        return [layout.object_version(each) for each in found if which(layout.listed_version(each))]

    async def list_versions(self, bucket: str, after: str | None = None) -> AsyncIterator[Sequence[ListedVersion]]:
        directory = self._directory(bucket, "x").parent
        await self._run(lambda: self._need(bucket))
        behind = () if after is None else self._directory(bucket, after).relative_to(directory).parts
        found = layout.walk_versions(directory, behind)
        while page := await self._run(
            lambda: [layout.listed_version(description) for description in islice(found, PAGE)]
        ):
            yield page

    async def list_prefix(self, bucket: str, prefix: str) -> AsyncIterator[Sequence[ListedVersion]]:
        await self._run(lambda: self._need(bucket))
        found = layout.walk_versions(self._directory(bucket, f"{prefix}x").parent, ())
        while page := await self._run(
            lambda: [layout.listed_version(description) for description in islice(found, PAGE)]
        ):
            yield page

    async def lengthen_lock(self, bucket: str, key: str, version_id: str, until: datetime) -> None:
        """Never shortens: a lock that ends later already stays. PreconditionFailed where the version is gone."""
        if self._object_lock_enabled:
            await self._run(lambda: self._lengthen(bucket, key, version_id, until))

    async def read(self, bucket: str, key: str, version_id: str | None) -> AsyncIterator[bytes]:
        description = await self._run(lambda: self._description_of(bucket, key, version_id))
        if description is None:
            raise FileNotFoundError(f"{bucket}/{key}")
        path = self._directory(bucket, key) / description["version_id"]
        file = await self._run(lambda: path.open("rb") if path.exists() else None)
        if file is None:
            raise FileNotFoundError(f"{bucket}/{key}")
        try:
            while chunk := await self._run(lambda: file.read(CHUNK)):
                yield chunk
        finally:
            file.close()

    async def prepare(self, buckets: Sequence[str], types: Sequence[ArchiveDataType]) -> None:
        """Makes the buckets. The lifecycle rules are stored beside the objects; nothing here applies them."""

        def each() -> None:
            for bucket in dict.fromkeys(buckets):
                self._prepare(bucket, types)

        await self._run(each)

    async def check(self, buckets: Sequence[str]) -> None:
        def each() -> None:
            for bucket in buckets:
                self._check(bucket)

        await self._run(each)

    async def examine(self, bucket: str) -> None:
        await self._run(lambda: self._check(bucket))

    async def close(self) -> None:
        """Waits for running writes."""
        await asyncio.to_thread(self._threads.shutdown, wait=True)

    async def _run(self, work: Callable[[], T]) -> T:
        """Runs in a thread; an error of the file system makes the store unavailable, whatever the object."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise ObjectRejected("object key is too long for the file system") from error
            raise Unavailable(OBJECT_STORE, f"{self._root}: {error.strerror or error}") from error

    def _directory(self, bucket: str, key: str) -> Path:
        if not _BUCKET.fullmatch(bucket):
            raise Unavailable(OBJECT_STORE, f"{bucket!r} cannot be the name of a bucket")
        return layout.directory_of(self._root, bucket, key)

    def _lock(self, directory: Path) -> threading.Lock:
        # Some file systems take names that differ in case for the same.
        return self._locks[hash(str(directory).casefold()) % LOCKS]

    def _description_of(self, bucket: str, key: str, version_id: str | None) -> dict[str, Any] | None:
        directory = self._directory(bucket, key)
        if version_id is not None:
            return layout.read_version(directory, key, version_id)
        return next(iter(layout.read_versions(directory, key)), None)

    def _put(self, upload: Upload) -> ObjectVersion:
        self._check(upload.bucket)
        if _sha256_of(upload.content) != upload.sha256:
            raise Unavailable(OBJECT_STORE, f"bucket {upload.bucket}: the content was changed on the way")
        directory = self._directory(upload.bucket, upload.key)
        with self._lock(directory):
            layout.make_directory(directory)
            layout.remove_leftovers(directory)
            present = next(iter(layout.read_versions(directory, upload.key)), None)
            if (None if present is None else present["etag"]) != upload.if_match:
                raise PreconditionFailed(
                    "the key is taken" if upload.if_match is None else "another version is current"
                )
            version_id = layout.new_version_id(None if present is None else present["version_id"])
            description = self._describe(upload, version_id)
            layout.write_version(directory, upload.content, description)
        return layout.object_version(description)

    def _describe(self, upload: Upload, version_id: str) -> dict[str, Any]:
        now = datetime.now(UTC)
        until = None
        if self._object_lock_enabled and upload.retain_until is not None:
            until = upload.retain_until.astimezone(UTC)
        elif self._object_lock_enabled and upload.retain_days is not None:
            until = now + timedelta(days=upload.retain_days)
        return {
            "bucket": upload.bucket,
            "key": upload.key,
            "version_id": version_id,
            "etag": f'"{upload.sha256}"',
            "size": len(upload.content),
            "content_type": upload.content_type,
            "sha256": upload.sha256,
            "user_metadata": {name.lower(): value for name, value in upload.user_metadata.items()},
            "tag": None if upload.tag is None else dict([upload.tag]),
            "last_modified": now.isoformat(),
            "retain_until": None if until is None else until.isoformat(),
        }

    def _lengthen(self, bucket: str, key: str, version_id: str, until: datetime) -> None:
        directory = self._directory(bucket, key)
        with self._lock(directory):
            description = layout.read_version(directory, key, version_id)
            if description is None:
                raise PreconditionFailed(f"version {version_id} is gone")
            present = description["retain_until"]
            if present is None or datetime.fromisoformat(present) < until:
                layout.write_description(directory, {**description, "retain_until": until.astimezone(UTC).isoformat()})

    def _need(self, bucket: str) -> Path:
        directory = self._directory(bucket, "x").parent
        if not directory.is_dir():
            raise Unavailable(OBJECT_STORE, f"bucket {bucket} does not exist under {self._root}")
        return directory

    def _check(self, bucket: str) -> None:
        directory = self._need(bucket)
        if not os.access(directory, os.W_OK | os.X_OK):
            raise Unavailable(OBJECT_STORE, f"bucket {bucket} under {self._root} cannot be written to")

    def _prepare(self, bucket: str, types: Sequence[ArchiveDataType]) -> None:
        directory = self._directory(bucket, "x").parent
        layout.make_directory(directory)
        self._check(bucket)
        if not self._lifecycle_enabled:
            return
        path = directory / ".lifecycle.json"
        present = json.loads(path.read_bytes())["Rules"] if path.exists() else []
        missing = missing_rules(present, types)
        if missing:
            note = "As an object store would have them. Nothing is removed from this directory."
            text = json.dumps({"Note": note, "Rules": [*present, *missing]}, indent=1)
            layout.replace_durably(path, text.encode())


def _sha256_of(content: bytes | FileContent) -> str:
    if not isinstance(content, FileContent):
        return hashlib.sha256(content).hexdigest()
    with content.path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
