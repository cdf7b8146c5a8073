"""A store whose bucket counts as tried, for servers of tests that answer one thing only."""

from app.objectstore.s3 import S3ObjectStore


def as_tried(store: S3ObjectStore, bucket: str) -> S3ObjectStore:
    store._promises._kept.add(bucket)
    return store
