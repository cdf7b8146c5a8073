"""Objects that S3 never accepts, checked before anything is sent: every store refuses them with the same words."""

import re

from app.objectstore import ObjectRejected, Upload

MAX_KEY = 1024
"""Bytes of a key in UTF-8."""

MAX_METADATA = 2048
"""Bytes of all names (without `x-amz-meta-`) and values of the user metadata together."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TEXT = re.compile(r"[ -~]*")
_TAG = re.compile(r"[\w\s+\-=.:/@]*")


def check_upload(upload: Upload) -> None:
    """Raises ObjectRejected when key, metadata, content type or tag can never be stored; the text says which and
    why."""
    if not 0 < len(upload.key.encode()) <= MAX_KEY:
        raise ObjectRejected(f"object key has {len(upload.key.encode())} bytes, 1 to {MAX_KEY} are possible")
    if not {".", ".."}.isdisjoint(upload.key.split("/")):
        raise ObjectRejected("object key has a part that is . or .., which servers resolve as a path")
    size = 0
    for name, value in upload.user_metadata.items():
        size += len(name) + len(value)
        if not _TOKEN.fullmatch(name):
            raise ObjectRejected(f"metadata name {name[:100]!r} cannot stand in a header")
        # A space at either end is lost on the way, so that what is read back would differ.
        if not _TEXT.fullmatch(value) or value != value.strip():
            raise ObjectRejected(f"metadata value of {name} is not printable ASCII without outer spaces")
    if size > MAX_METADATA:
        raise ObjectRejected(f"metadata has {size} bytes, more than the {MAX_METADATA} that S3 takes")
    if not upload.content_type or not _TEXT.fullmatch(upload.content_type):
        raise ObjectRejected("content type is not printable ASCII")
    if upload.tag is not None:
        key, value = upload.tag
        if not 0 < len(key) <= 128 or len(value) > 256 or not _TAG.fullmatch(key) or not _TAG.fullmatch(value):
            raise ObjectRejected(f"tag {key[:130]}={value[:260]} is not one that S3 takes")
