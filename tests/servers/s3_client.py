"""Clients of the real stores of the tests, and buckets as the service needs them."""

from typing import Any

import boto3
from botocore.config import Config


def s3_client(url: str, region: str, access_key: str, secret_key: str) -> Any:
    """A boto3 client that tries once, and knows buckets by their path."""
    once = Config(
        retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20, s3={"addressing_style": "path"}
    )
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=once,
    )


def make_bucket(s3: Any, name: str, *, lock: bool = True) -> str:
    """Makes a bucket, with versioning and object lock unless `lock` is false, and returns its name."""
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
    if lock:
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name
