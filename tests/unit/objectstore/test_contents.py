"""What an ETag shows of the content, and what is read back."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.objectstore import ObjectVersion
from app.objectstore.contents import digest_of, is_shown_to_hold
from app.objectstore.filesystem import FilesystemObjectStore
from tests.unit.objectstore.uploads import upload_to

CONTENT = b"content"
VERSION = ObjectVersion("bucket", "key", "1", "", len(CONTENT), {}, datetime.now(UTC), None)
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize(
    ("etag", "shown"),
    [
        (f'"{MD5}"', True),
        (f'W/"{MD5.upper()}"', True),
        (f'"{SHA256}"', True),
        (f'"{MD5}-2"', False),
        ('"opaque"', False),
        ("", False),
    ],
)
def test_an_etag_that_is_the_hash_shows_the_content(etag: str, shown: bool) -> None:
    assert is_shown_to_hold(replace(VERSION, etag=etag), CONTENT) is shown


def test_another_size_shows_other_content() -> None:
    assert not is_shown_to_hold(replace(VERSION, etag=f'"{MD5}"', size=1), CONTENT)


async def test_the_digest_is_that_of_what_is_read(tmp_path: Path) -> None:
    store = FilesystemObjectStore(tmp_path)
    await store.prepare(["bucket"], [])
    made = await store.put(upload_to("bucket", content=CONTENT))
    assert await digest_of(store, made.bucket, made.key, made.version_id) == (SHA256, len(CONTENT))
    with pytest.raises(FileNotFoundError):
        await digest_of(store, made.bucket, made.key, "gone")
    await store.close()
