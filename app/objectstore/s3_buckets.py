"""Checks and prepares buckets: existence, versioning, object lock, lifecycle rules."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from botocore.exceptions import ClientError

from app.domain.archive_types import ArchiveDataType
from app.domain.errors import Unavailable
from app.objectstore.lifecycle import ensure_rules
from app.objectstore.s3_connection import S3Connection
from app.objectstore.s3_errors import COMPONENT, code_of, status_of, translated, unavailable


async def prepare_buckets(
    connection: S3Connection,
    buckets: Sequence[str],
    types: Sequence[ArchiveDataType],
    try_store: Callable[[str], Awaitable[None]],
) -> None:
    """As `ObjectStore.prepare`; one bucket after the other, so that the first problem is reported completely."""
    client = await connection.client()
    for bucket in dict.fromkeys(buckets):
        with translated(bucket):
            await _ensure_bucket(connection, client, bucket)
            await _need_protection(connection, client, bucket)
            await try_store(bucket)
            if connection.options.lifecycle_enabled:
                await ensure_rules(client, bucket, types)


async def check_buckets(connection: S3Connection, buckets: Sequence[str]) -> None:
    """One HEAD per bucket, all at the same time. Raises Unavailable for the first bucket with a problem."""
    client = await connection.client()

    async def look(bucket: str) -> None:
        with translated(bucket):
            if not await _exists(client, bucket):
                raise unavailable(404, "NoSuchBucket", "", bucket)

    await asyncio.gather(*(look(bucket) for bucket in dict.fromkeys(buckets)))


async def examine_bucket(connection: S3Connection, bucket: str) -> None:
    """As `ObjectStore.examine`."""
    client = await connection.client()
    with translated(bucket):
        if not await _exists(client, bucket):
            raise unavailable(404, "NoSuchBucket", "", bucket)
        await _need_protection(connection, client, bucket)


async def _need_protection(connection: S3Connection, client: Any, bucket: str) -> None:
    await _need_versioning(client, bucket)
    if connection.options.object_lock_enabled:
        await _need_object_lock(client, bucket)


async def _exists(client: Any, bucket: str) -> bool:
    try:
        await client.head_bucket(Bucket=bucket)
    except ClientError as error:
        if status_of(error) == 404:
            return False
        if status_of(error) == 403:  # a HEAD has no body that would say why
            raise unavailable(403, "AccessDenied", "keys refused, or not allowed to see the bucket", bucket) from error
        raise
    return True


async def _ensure_bucket(connection: S3Connection, client: Any, bucket: str) -> None:
    if await _exists(client, bucket):
        return
    options = connection.options
    if not options.create_bucket:
        raise unavailable(404, "NoSuchBucket", "", bucket)
    region = client.meta.region_name
    # us-east-1 is the one region that must not be named.
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    try:
        await client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=options.object_lock_enabled, **place)
    except ClientError as error:
        if code_of(error) != "BucketAlreadyOwnedByYou":  # made by another process just now
            raise
    await client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


async def _need_versioning(client: Any, bucket: str) -> None:
    status = (await client.get_bucket_versioning(Bucket=bucket)).get("Status", "never enabled")
    if status != "Enabled":
        raise Unavailable(COMPONENT, f"bucket {bucket}: versioning is {status.lower()}; enable it")


async def _need_object_lock(client: Any, bucket: str) -> None:
    try:
        answer = await client.get_object_lock_configuration(Bucket=bucket)
        enabled = answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled"
    except ClientError as error:
        if code_of(error) not in ("ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration"):
            raise
        enabled = False
    if not enabled:
        raise Unavailable(
            COMPONENT,
            f"bucket {bucket} has no object lock; enable it, or set objectstorage.object-lock-enabled to false",
        )
