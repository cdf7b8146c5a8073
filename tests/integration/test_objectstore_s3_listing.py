"""All versions of a bucket on a real S3, however it resumes a listing."""

import uuid

import pytest

from app.domain.errors import Unavailable
from app.domain.identity import hash_of_text
from app.objectstore.s3 import S3Options, open_s3
from app.objectstore.s3_connection import S3Connection
from app.objectstore.s3_listing import walk
from tests.servers import SeaweedFS

HASHES = [hash_of_text(str(number)) for number in range(4)]
KEYS = [
    *("a/b/v1", "a-b/v1", "a/b/v10", "a/b/v2", "z", "PSF-x/y/v1", "PSF/x/v1", "ü/v1", "a b/v1", "gone/x"),
    *("archive-data-schema/PSF_x_1.avsc", "20240101/PSF/x/y"),
    *(f"PSF/x/{h[:2]}/{h}/v{version}" for h in HASHES for version in (0, 1, 10)),
    *(f"PSF/x/ab/{h}/v1" for h in HASHES),
]


async def test_every_version_is_listed_once_and_goes_on_behind_any_key(s3: SeaweedFS) -> None:
    bucket, client = s3.create_bucket(f"b-{uuid.uuid4().hex[:12]}"), s3.client()
    for key in KEYS:
        for content in (b"1", b"22"):
            client.put_object(Bucket=bucket, Key=key, Body=content)
    client.delete_object(Bucket=bucket, Key="gone/x")  # a delete marker hides the key and keeps its versions
    options = S3Options(access_url=s3.url, region=s3.region, access_key=s3.access_key, secret_key=s3.secret_key)
    connection = S3Connection(options)
    try:
        own = await connection.client()
        orders = []
        for limit in (1000, 5, 2):
            found = [each async for page in walk(own, bucket, None, limit=limit) for each in page]
            assert len({(each.key, each.version_id) for each in found}) == len(found) == 2 * len(KEYS)
            assert [each.size for each in found] == [2, 1] * len(KEYS)
            orders.append([each.key for each in found][::2])
        assert orders[0] == orders[1] == orders[2] == sorted(KEYS, key=lambda key: key.split("/"))
        for place, key in list(enumerate(orders[0]))[::3]:
            rest = [each.key async for page in walk(own, bucket, key, limit=3) for each in page]
            assert rest[::2] == orders[0][place + 1 :]
    finally:
        await connection.close()


async def test_a_missing_bucket_is_named(s3: SeaweedFS) -> None:
    options = S3Options(access_url=s3.url, region=s3.region, access_key=s3.access_key, secret_key=s3.secret_key)
    async with open_s3(options) as store:
        with pytest.raises(Unavailable, match="bucket no-such-bucket"):
            async for _ in store.list_versions("no-such-bucket"):
                pass
