"""Uploads for the tests of the object stores."""

import hashlib
from dataclasses import replace
from typing import Any

from app.objectstore import Upload

KEY = "PSF/OsvRecord/ab/abcdef/v1"


def upload_to(bucket: str, key: str = KEY, content: bytes = b'{"id": 1}', **changes: Any) -> Upload:
    """An upload as the archiver makes them."""
    plain = Upload(
        bucket=bucket,
        key=key,
        content=content,
        content_type="application/json",
        sha256=hashlib.sha256(content).hexdigest(),
        user_metadata={"system": "PSF", "reference-id": "DOC%2F1", "job-id": "j-1"},
        retain_days=30,
        tag=("ArchiveTypeLifecyclePolicy", "PSF_OsvRecord_30_30"),
    )
    return replace(plain, **changes)
