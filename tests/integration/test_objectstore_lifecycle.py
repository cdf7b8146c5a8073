"""Buckets and lifecycle rules on a real S3: what is missing is added, what others set is carried over."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from app.domain.archive_types import LIFECYCLE_TAG, ArchiveDataType, SchemaFile, SchemaName
from app.objectstore import LifecycleLimit
from app.objectstore.s3 import S3ObjectStore, S3Options, open_s3
from tests.servers import SeaweedFS

FOREIGN = [
    {
        "ID": "logs",
        "Filter": {"Prefix": "logs/"},
        "Status": "Enabled",
        "Expiration": {"Days": 7},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 3},
    },
    {
        "ID": "both",
        "Filter": {"And": {"Prefix": "x/", "Tags": [{"Key": "a", "Value": "b"}], "ObjectSizeGreaterThan": 10}},
        "Status": "Disabled",
        "NoncurrentVersionExpiration": {"NoncurrentDays": 5, "NewerNoncurrentVersions": 2},
    },
]


@pytest.fixture
async def store(s3: SeaweedFS) -> AsyncIterator[S3ObjectStore]:
    async with open_s3(options_of(s3)) as opened:
        yield opened


@pytest.fixture
def bucket(s3: SeaweedFS) -> str:
    return s3.create_bucket(f"b-{uuid.uuid4().hex[:12]}")


def options_of(s3: SeaweedFS, **changes: Any) -> S3Options:
    plain = S3Options(access_url=s3.url, region=s3.region, access_key=s3.access_key, secret_key=s3.secret_key)
    return replace(plain, **changes)


def type_of(name: str, days: int, version: int = 1) -> ArchiveDataType:
    return ArchiveDataType(SchemaName("PSF", name, version), "id", days, SchemaFile(b"{}", "schema.json", ""))


def rules_of(s3: SeaweedFS, bucket: str) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = s3.client().get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    return rules


async def test_missing_rules_are_added_once(s3: SeaweedFS, store: S3ObjectStore, bucket: str) -> None:
    types = [type_of("OsvRecord", 90), type_of("OsvRecord", 90, version=2), type_of("Decree", 3650)]
    await store.prepare([bucket], types)
    tag = "PSF_OsvRecord_90_90"
    assert rules_of(s3, bucket)[0] == {
        "ID": tag,
        "Filter": {"Tag": {"Key": LIFECYCLE_TAG, "Value": tag}},
        "Status": "Enabled",
        "Expiration": {"Days": 90},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 90},
    }
    assert [rule["ID"] for rule in rules_of(s3, bucket)] == [tag, "PSF_Decree_3650_3650"]
    await store.prepare([bucket, bucket], types)
    await store.prepare([bucket], [*types, type_of("Later", 1)])
    assert [rule["ID"] for rule in rules_of(s3, bucket)] == [tag, "PSF_Decree_3650_3650", "PSF_Later_1_1"]


async def test_rules_of_others_are_carried_over_unchanged(s3: SeaweedFS, store: S3ObjectStore, bucket: str) -> None:
    s3.client().put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": FOREIGN})
    before = rules_of(s3, bucket)
    await store.prepare([bucket], [type_of("OsvRecord", 90)])
    after = rules_of(s3, bucket)
    assert after[:2] == before
    assert [rule["ID"] for rule in after] == ["logs", "both", "PSF_OsvRecord_90_90"]


async def test_more_than_a_thousand_rules_are_refused(s3: SeaweedFS, store: S3ObjectStore, bucket: str) -> None:
    many = [
        {"ID": f"r{n}", "Filter": {"Prefix": f"{n}/"}, "Status": "Enabled", "Expiration": {"Days": 7}}
        for n in range(999)
    ]
    s3.client().put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": many})
    with pytest.raises(LifecycleLimit, match=f"bucket {bucket} would need 1001 lifecycle rules"):
        await store.prepare([bucket], [type_of("A", 1), type_of("B", 1)])
    assert len(rules_of(s3, bucket)) == 999
    await store.prepare([bucket], [type_of("A", 1)])
    assert len(rules_of(s3, bucket)) == 1000
    await store.prepare([bucket], [type_of("A", 1)])


async def test_a_bucket_is_made_with_versions_and_lock_where_the_settings_allow_it(s3: SeaweedFS) -> None:
    name = f"b-{uuid.uuid4().hex[:12]}"
    async with open_s3(options_of(s3, create_bucket=True)) as store:
        await store.prepare([name], [type_of("OsvRecord", 90)])
        await store.check([name])
    client = s3.client()
    assert client.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    assert (
        client.get_object_lock_configuration(Bucket=name)["ObjectLockConfiguration"]["ObjectLockEnabled"] == "Enabled"
    )
    assert [rule["ID"] for rule in rules_of(s3, name)] == ["PSF_OsvRecord_90_90"]


async def test_a_bucket_is_made_without_lock_where_locking_is_off(s3: SeaweedFS) -> None:
    name = f"b-{uuid.uuid4().hex[:12]}"
    async with open_s3(options_of(s3, create_bucket=True, object_lock_enabled=False)) as store:
        await store.prepare([name], [])
    assert s3.client().get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
