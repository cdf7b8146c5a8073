"""The object store on S3: puts and reads are hand-written (`s3_put`, `s3_read`), all rare requests use aioboto3."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from botocore.exceptions import ClientError

from app.domain.archive_types import ArchiveDataType
from app.domain.errors import Unavailable
from app.objectstore import ListedVersion, ObjectVersion, PreconditionFailed, Upload, Which, every
from app.objectstore.limits import check_upload
from app.objectstore.promises import Promises
from app.objectstore.s3_buckets import check_buckets, examine_bucket, prepare_buckets
from app.objectstore.s3_connection import S3Connection, S3Options
from app.objectstore.s3_errors import COMPONENT, code_of, status_of, translated
from app.objectstore.s3_listing import listed, walk
from app.objectstore.s3_put import HotPut, whole_second
from app.objectstore.s3_read import HotRead

__all__ = ["S3ObjectStore", "S3Options", "open_s3"]

HEADS_AT_ONCE = 16
"""Versions of one key that are looked at at the same time."""


@asynccontextmanager
async def open_s3(options: S3Options) -> AsyncIterator["S3ObjectStore"]:
    """The store; nothing is connected before the first use."""
    store = S3ObjectStore(options)
    try:
        yield store
    finally:
        await store.close()


class S3ObjectStore:
    """Implements `ObjectStore`."""

    def __init__(self, options: S3Options) -> None:
        self._options = options
        self._connection = S3Connection(options)
        self._hot_put = HotPut(self._connection)
        self._hot_read = HotRead(self._connection)
        self._promises = Promises(self._connection, self._hot_put)

    @property
    def lock_mode(self) -> str | None:
        return self._options.object_lock_mode if self._options.object_lock_enabled else None

    async def put(self, upload: Upload) -> ObjectVersion:
        if not self._promises.are_kept(upload.bucket):
            check_upload(upload)  # refused before anything is sent
            await self._promises.need(upload.bucket)
        return await self._hot_put.put(upload)

    async def head(self, bucket: str, key: str, version_id: str | None = None) -> ObjectVersion | None:
        client = await self._connection.client()
        with translated(bucket):
            try:
                answer = await client.head_object(Bucket=bucket, Key=key, **_version(version_id))
            except ClientError as error:
                if status_of(error) in (404, 405):  # 405: that version is a delete marker
                    return None
                raise
        found = _object_version(bucket, key, answer)
        if version_id is not None and found.version_id != version_id:
            raise Unavailable(COMPONENT, f"bucket {bucket}: asked for one version, the store told of another")
        return found

    async def versions(self, bucket: str, key: str, which: Which = every) -> Sequence[ObjectVersion]:
        client = await self._connection.client()
        ids = list[str]()
        with translated(bucket):
            # A key is a prefix of others (v1 of v10): only the exact ones count.
            async for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key):
                ids += [found.version_id for found in listed(bucket, page) if found.key == key and which(found)]
        # Some stores begin a page with the last version of the page before.
        rest, heads = iter(dict.fromkeys(ids)), list[ObjectVersion | None]()
        while some := list(islice(rest, HEADS_AT_ONCE)):
            heads += await asyncio.gather(*(self.head(bucket, key, version_id) for version_id in some))
        return [head for head in heads if head is not None]

    async def list_versions(self, bucket: str, after: str | None = None) -> AsyncIterator[Sequence[ListedVersion]]:
        client = await self._connection.client()
        async for page in walk(client, bucket, after):
            yield page

    async def list_prefix(self, bucket: str, prefix: str) -> AsyncIterator[Sequence[ListedVersion]]:
        client = await self._connection.client()
        async for page in walk(client, bucket, None, prefix):
            yield page

    async def lengthen_lock(self, bucket: str, key: str, version_id: str, until: datetime) -> None:
        """Never shortens: a lock that ends later already stays. PreconditionFailed where the version is gone."""
        if not self._options.object_lock_enabled:
            return
        client = await self._connection.client()
        until = whole_second(until)
        where = {"Bucket": bucket, "Key": key, "VersionId": version_id}
        with translated(bucket):
            try:
                head = await client.head_object(**where)
                present = head.get("ObjectLockRetainUntilDate")
                if present is not None and present >= until:
                    return
                # A version in COMPLIANCE stays in it, whatever new ones get: the store refuses to weaken a lock.
                mode = head.get("ObjectLockMode") or self._options.object_lock_mode
                await client.put_object_retention(**where, Retention={"Mode": mode, "RetainUntilDate": until})
            except ClientError as error:
                if status_of(error) in (404, 405) and code_of(error) != "NoSuchBucket":
                    raise PreconditionFailed(f"version {version_id} is gone") from error
                raise

    def read(self, bucket: str, key: str, version_id: str | None) -> AsyncIterator[bytes]:
        return self._hot_read.read(bucket, key, version_id)

    async def prepare(self, buckets: Sequence[str], types: Sequence[ArchiveDataType]) -> None:
        await prepare_buckets(self._connection, buckets, types, self._promises.need)

    async def check(self, buckets: Sequence[str]) -> None:
        await check_buckets(self._connection, buckets)

    async def examine(self, bucket: str) -> None:
        await examine_bucket(self._connection, bucket)
        self._promises.refuse_broken(bucket)

    async def close(self) -> None:
        await self._promises.close()
        await self._connection.close()


def _version(version_id: str | None) -> dict[str, str]:
    return {} if version_id is None else {"VersionId": version_id}


def _object_version(bucket: str, key: str, head: Mapping[str, Any]) -> ObjectVersion:
    until: datetime | None = head.get("ObjectLockRetainUntilDate")
    return ObjectVersion(
        bucket=bucket,
        key=key,
        version_id=head.get("VersionId", "null"),
        etag=head["ETag"],
        size=head["ContentLength"],
        user_metadata={name.lower(): value for name, value in head["Metadata"].items()},
        last_modified=head["LastModified"].astimezone(UTC),
        retain_until=None if until is None else until.astimezone(UTC),
        lock_mode=head.get("ObjectLockMode"),
    )
